import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import { printableJson } from '../../printable.ts';
import { VERSION } from '../../version.ts';
import { assets } from './assets.ts';
import { BLOCK, blockName, blockOf, ROWS } from './blocks.ts';
import type { CallPicture, CallRow, Page } from './model.ts';
import { type ReplayPictures, rowOf } from './pictures.ts';
import { readable } from './text.ts';

/** What the page's own script and style may do, and nothing else: Content Security Policy level 3. */
const POLICY = [
  "default-src 'none'",
  `script-src '${digest(assets.script)}'`,
  `style-src '${digest(assets.style)}'`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
];

/** The policy as a header, with what a meta element cannot say. */
export const LIVE_POLICY: string = [...POLICY, "connect-src 'self'", "frame-ancestors 'none'"].join('; ');

function digest(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

/** For pages that come without the header. */
function policyElement(): string {
  return `<meta http-equiv="Content-Security-Policy" content="${POLICY.join('; ')}">`;
}

/**
 * A report of a replay as one file that needs no other, in pieces. Calls that fit into one block stay text that can be
 * searched; more are compressed.
 */
export function* replayHtml({ page, pictures }: ReplayPictures): Generator<string> {
  const title = page.files.map((file) => readable(file.slice(file.lastIndexOf('/') + 1), 60)).join(', ');
  yield head(`${title} – pinholed`, policyElement());
  yield data('page', page);
  const write = page.calls <= BLOCK ? data : packed;
  const rows: CallRow[] = [];
  for (const some of inBlocks(pictures())) {
    yield write(blockName(rows.length), blockOf(some));
    for (const picture of some) rows.push(rowOf(picture));
  }
  yield write(ROWS, blockOf(rows));
  yield foot();
}

/** A call of a running daemon as one file that needs no other; `at` is ms since the epoch. At least one leg. */
export function callHtml(legs: readonly CallPicture[], at: number): string {
  const page: Page = { kind: 'call', version: VERSION, at: at / 1000, legs: legs.map(rowOf) };
  const title = readable(legs[0]?.call.callId ?? '', 60);
  const blocks = [...inBlocks(legs)].map((some, index) => data(blockName(index * BLOCK), blockOf(some)));
  return [head(`${title} – pinholed`, policyElement()), data('page', page), ...blocks, foot()].join('');
}

function* inBlocks<T>(items: Iterable<T>): Generator<readonly T[]> {
  let some: T[] = [];
  for (const item of items) {
    some.push(item);
    if (some.length < BLOCK) continue;
    yield some;
    some = [];
  }
  if (some.length > 0) yield some;
}

/** The document of the live page. */
export function liveHtml(): string {
  const page: Page = { kind: 'live', version: VERSION };
  return head('pinholed', '') + data('page', page) + foot();
}

/** A pinhole: a ring with a dot. */
const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='6' fill='none' stroke='%231f6fb2' stroke-width='2.5'/%3E%3Ccircle cx='8' cy='8' r='2' fill='%231f6fb2'/%3E%3C/svg%3E";

function head(title: string, policy: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
${policy}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${escaped(title)}</title>
<link rel="icon" href="${ICON}">
<style>${assets.style}</style>
</head>
<body>
<main id="root"></main>
<noscript><p>This page is drawn by a script of its own. Allow it to run, or see pinholed replay without --html.</p></noscript>
`;
}

function foot(): string {
  return `<script>${assets.script}</script>\n</body>\n</html>\n`;
}

/** Data that no parser of HTML can take for anything else: there is no `<` in it, nor a control character. */
function data(id: string, value: unknown): string {
  const text = printableJson(JSON.stringify(value)).replaceAll('<', '\\u003c');
  return `<script type="application/json" id="${id}">${text}</script>\n`;
}

/** The same compressed (RFC 1950), in base64: a tenth of it. */
function packed(id: string, value: unknown): string {
  const text = deflateSync(JSON.stringify(value)).toString('base64');
  return `<script type="text/plain" id="${id}">${text}</script>\n`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
