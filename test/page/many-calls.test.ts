import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inflateSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { BLOCK, type Block, valuesIn } from '../../src/report/page/blocks.ts';
import { callHtml } from '../../src/report/page/html.ts';
import type { CallPicture, CallRow } from '../../src/report/page/model.ts';
import { livePicture, replayPictures, rowOf } from '../../src/report/page/pictures.ts';
import type { ReplayReport } from '../../src/report/replay/model.ts';
import { film } from '../replay/film.ts';
import { host, sdp } from '../scene.ts';
import { launchChromium, watchedPage, withoutChromium } from './chromium.ts';
import { createShelf, type Shelf } from './reports.ts';

// A report of more calls than one block holds is compressed: two blocks and a call more.
const CALLS = 2 * BLOCK + 1;
const EVIL = '</script><script>document.title="run"</script><!--\u202e';

const skip = withoutChromium;
let browser: Browser;
let shelf: Shelf;
let report: ReplayReport;

before(async () => {
  shelf = createShelf();
  report = manyCalls();
  if (skip === false) browser = await launchChromium();
});
after(async () => {
  shelf.clear();
  await browser?.close();
});

/** Every fourth call has an answer that names another host, whose media is blocked. */
function manyCalls(): ReplayReport {
  const alice = host('192.0.2.10');
  const bob = host('198.51.100.20');
  const one = film();
  for (let index = 0; index < CALLS; index++) {
    const [at, callId, branch] = [index * 10, `call-${index}-${EVIL}`, `z9hG4bK-${index}`];
    const [offer, answer] = [20_000 + index * 10, 30_000 + index * 10];
    const address = index % 4 === 1 ? '203.0.113.99' : '198.51.100.20';
    one.say(at, alice, bob, 'INVITE', { callId, branch, body: sdp('192.0.2.10', [offer]) });
    one.say(at + 0.5, bob, alice, '200 INVITE', { callId, branch, to: 'b', body: sdp(address, [answer]) });
    one.say(at + 0.6, alice, bob, 'ACK', { callId, to: 'b' });
    one.talk(at + 1, host('192.0.2.10', offer), host(address, answer), 5 + (index % 3));
    one.talk(at + 1, host('198.51.100.20', answer), host('192.0.2.10', offer), 5);
    one.say(at + 5, alice, bob, 'BYE', { callId, to: 'b', cseq: 2 });
    one.say(at + 5.1, bob, alice, '200 BYE', { callId, to: 'b', cseq: 2 });
  }
  return one.run();
}

/** What the elements of a document hold, by their names. */
function elementsOf(html: string): Map<string, string> {
  const found = html.matchAll(/<script type="text\/plain" id="([^"]+)">([^<]*)<\/script>/g);
  return new Map([...found].map(([, id, content]) => [id!, content!]));
}

function unpacked(content: string): unknown[] {
  return valuesIn(JSON.parse(inflateSync(Buffer.from(content, 'base64')).toString()) as Block);
}

test('every row and every picture is in the file, as the report has them', async () => {
  const html = readFileSync(fileURLToPath(await shelf.put('whole', report)), 'utf8');
  const elements = elementsOf(html);
  const pictures = [...replayPictures(report).pictures()];
  assert.equal(pictures.length, CALLS);
  const asWritten = <T>(values: readonly T[]) => JSON.parse(JSON.stringify(values)) as T[];
  assert.deepEqual(unpacked(elements.get('rows')!), asWritten(pictures.map(rowOf)));
  const blocks = [...elements].filter(([id]) => id.startsWith('calls-'));
  assert.deepEqual(
    blocks.map(([id]) => id),
    ['calls-0', 'calls-1', 'calls-2'],
  );
  assert.deepEqual(
    blocks.map(([, content]) => unpacked(content).length),
    [BLOCK, BLOCK, 1],
  );
  assert.deepEqual(
    blocks.flatMap(([, content]) => unpacked(content)),
    asWritten(pictures),
  );
});

test('hostile text of many calls is nowhere in the file as it came', async () => {
  const html = readFileSync(fileURLToPath(await shelf.put('hostile', report)), 'utf8');
  assert.equal(html.includes('document.title='), false);
  assert.doesNotMatch(html, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]/);
  for (const content of elementsOf(html).values()) assert.match(content, /^[A-Za-z0-9+/]+=*$/);
});

async function opened(name: string, html?: (whole: string) => string, script?: string) {
  const address = await shelf.put(name, report);
  const path = fileURLToPath(address);
  if (html !== undefined) writeFileSync(path, html(readFileSync(path, 'utf8')));
  const watched = await watchedPage(browser);
  if (script !== undefined) await watched.page.addInitScript(script);
  return { ...watched, address };
}

async function openCall(page: Page, callId: string): Promise<void> {
  await page.locator('#search').fill(callId);
  await page.locator('.row').click();
  await page.locator('.picture').waitFor();
}

test('a call of each block opens, from the file alone', { skip }, async () => {
  const { page, complaints, requests, address, close } = await opened('opens');
  await page.goto(address);
  await page
    .locator('.calls > li')
    .nth(CALLS - 1)
    .waitFor();
  assert.equal(await page.locator('.count').textContent(), `${CALLS} calls`);
  assert.match((await page.locator('h1').textContent()) ?? '', /in 32 of 129 calls\.$/);
  const chips = await page.locator('.chip').allTextContents();
  assert.deepEqual(chips, ['All129', 'One way or none32', 'Passed97', 'With refusals32']);
  assert.equal(await page.locator('.summary').count(), 1);
  for (const index of [0, BLOCK - 1, BLOCK, CALLS - 1]) {
    await openCall(page, `call-${index}-`);
    const id = await page.locator('.facts dd').first().textContent();
    assert.ok(id?.startsWith(`call-${index}-</script><script>`), id ?? '');
    assert.equal(await page.locator('.arrow .head').count(), 5);
    await page.locator('.row').click();
  }
  assert.notEqual(await page.title(), 'run');
  assert.deepEqual(complaints, []);
  assert.equal(requests.length, 1);
  await close();
});

test('a link to a call opens it, as far down the list as it is', { skip }, async () => {
  const { page, address, close } = await opened('linked');
  const last = [...replayPictures(report).pictures()].at(-1)!;
  await page.goto(`${address}#legId=${last.call.legId}`);
  await page.locator('.picture').waitFor();
  assert.match((await page.locator('.facts dd').first().textContent()) ?? '', /^call-128-/);
  await close();
});

test('a browser that cannot inflate says so', { skip }, async () => {
  const { page, address, complaints, close } = await opened(
    'old',
    undefined,
    'delete globalThis.DecompressionStream',
  );
  await page.goto(address);
  await page.locator('[role=alert]').waitFor();
  assert.match(
    (await page.locator('[role=alert]').textContent()) ?? '',
    /this browser cannot inflate it: .* Firefox from 113\. pinholed replay --json/,
  );
  assert.deepEqual(complaints, []);
  await close();
});

test('a file that was damaged says so, for the call and for the list', { skip }, async () => {
  const damage = (id: string) => (html: string) =>
    html.replace(new RegExp(`(id="${id}">.{40})....`), '$1AAAA');
  const call = await opened('damaged-call', damage('calls-1'));
  await call.page.goto(call.address);
  await call.page.locator('#search').fill(`call-${BLOCK}-`);
  await call.page.locator('.row').click();
  await call.page.locator('.count', { hasText: 'could not be shown' }).waitFor();
  await openCall(call.page, 'call-0-');
  await call.close();
  const list = await opened('damaged-list', damage('rows'));
  await list.page.goto(list.address);
  await list.page.locator('[role=alert]', { hasText: 'The calls cannot be shown' }).waitFor();
  await list.close();
});

test('the page of one call stays text, however many legs it has', () => {
  const legs = report.calls.map((call) => livePicture(call, 0));
  const html = callHtml(legs, 0);
  assert.equal(elementsOf(html).size, 0);
  const found = html.matchAll(/<script type="application\/json" id="calls-\d+">([^<]*)<\/script>/g);
  const read = [...found].flatMap(([, json]) => valuesIn(JSON.parse(json!) as Block) as CallPicture[]);
  const rows: CallRow[] = legs.map(rowOf);
  assert.deepEqual(
    read.map(({ call }) => call.callId),
    rows.map(({ callId }) => callId),
  );
});
