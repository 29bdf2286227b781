import { writeFileSync } from 'node:fs';
import { assets } from '../src/report/page/assets.ts';

// Part of the build: writes code and style of the page as text over the compiled assets module that is named.
const [target] = process.argv.slice(2);
if (target === undefined) throw new Error('expected the path of the compiled assets.js');
writeFileSync(target, `export const assets = ${JSON.stringify(assets)};\n`);
