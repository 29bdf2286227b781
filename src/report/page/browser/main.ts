import type { Page } from '../model.ts';
import { showCall } from './call.ts';
import { showLive } from './live.ts';
import { showReport } from './report.ts';

const page = JSON.parse(document.getElementById('page')?.textContent ?? '') as Page;
const root = document.getElementById('root')!;
if (page.kind === 'replay') showReport(page, root);
else if (page.kind === 'call') showCall(page, root);
else showLive(root);
