import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import type { CallReport } from '../../src/history/call-report.ts';
import { callHtml } from '../../src/report/page/html.ts';
import { livePicture } from '../../src/report/page/pictures.ts';
import { launchChromium, type Watched, watchedPage, withoutChromium } from './chromium.ts';
import { replayed } from './reports.ts';

const skip = withoutChromium;
let browser: Browser;
let directory: string;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pinholed-page-'));
  if (skip === false) browser = await launchChromium();
});
after(async () => {
  rmSync(directory, { recursive: true });
  await browser?.close();
});

async function opened(legs: readonly CallReport[]): Promise<Watched> {
  const path = join(directory, 'call.html');
  const at = Math.max(...legs.map(({ endedAt, startedAt }) => endedAt ?? startedAt)) + 60_000;
  writeFileSync(
    path,
    callHtml(
      legs.map((leg) => livePicture(leg, at)),
      at,
    ),
  );
  const watched = await watchedPage(browser);
  await watched.page.goto(pathToFileURL(path).href);
  return watched;
}

test('the page of one call: its ladder is open, and it asks for nothing but itself', { skip }, async () => {
  const { page, complaints, requests, close } = await opened(replayed('basic-call').calls.slice(0, 1));
  /** SIP messages of the capture: tshark -Y sip. */
  assert.equal(await page.locator('.arrow').count(), 7);
  assert.equal(await page.locator('.pinhole .bar').count(), 2);
  assert.match((await page.locator('.source').textContent()) ?? '', /^As it was at .+ UTC · .+, over$/);
  assert.equal(await page.getByText('Lost packets').count(), 1);
  assert.deepEqual(complaints, []);
  assert.equal(requests.length, 1);
  await close();
});

test('each leg of a call is open', { skip }, async () => {
  const { page, close } = await opened(replayed('trunk-many-calls').calls.slice(0, 3));
  assert.equal(await page.locator('.calls > li').count(), 3);
  assert.equal(await page.locator('.picture').count(), 3);
  await close();
});

test('text of the network stays text', { skip }, async () => {
  const [call] = replayed('basic-call').calls;
  const hostile = '</title></script><script>document.title="hostile"</script><img src=x onerror=alert(1)>';
  const { page, complaints, close } = await opened([
    { ...call!, callId: hostile, from: hostile, to: hostile },
  ]);
  assert.match(await page.title(), /^<\/title><\/script>/);
  assert.equal(await page.locator('img').count(), 0);
  assert.deepEqual(complaints, []);
  await close();
});
