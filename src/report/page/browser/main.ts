import type { Page } from '../model.ts';
import { showCall } from './call.ts';
import { rowsIn } from './data.ts';
import { el } from './dom.ts';
import { showLive } from './live.ts';
import { showReport } from './report.ts';

const page = JSON.parse(document.getElementById('page')?.textContent ?? '') as Page;
const root = document.getElementById('root')!;
if (page.kind === 'replay') {
  rowsIn(document).then(
    (rows) => showReport(page, rows, root),
    (error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      root.append(el('p', { class: 'note bad', role: 'alert' }, `The calls cannot be shown: ${reason}`));
    },
  );
} else if (page.kind === 'call') showCall(page, root);
else showLive(root);
