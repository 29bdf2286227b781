// How long the page of a replay takes to open, and a call in it: node --import tsx bench/page.ts [CALLS].
// Not by run.mjs: what is measured is headless Chromium.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';
import { defaults } from '../src/config/load.ts';
import { writeReplayPage } from '../src/report/page/write.ts';
import { createReplay } from '../src/report/replay/replay.ts';
import { launchChromium, watchedPage } from '../test/page/chromium.ts';
import { film } from '../test/replay/film.ts';
import { host, sdp } from '../test/scene.ts';
import { median } from './quantile.ts';

const RUNS = 5;
const calls = Number(process.argv[2] ?? 2000);
const directory = mkdtempSync(join(tmpdir(), 'pinholed-bench-'));
const path = join(directory, 'report.html');

/** Calls of six seconds, so that the curve of each flow is as long as it gets; every tenth has one-way audio. */
function report() {
  const alice = host('192.0.2.10');
  const bob = host('198.51.100.20');
  const { frame, finish } = createReplay({
    files: ['calls'],
    settings: { ...defaults(), inside: 'any' },
    tunnels: false,
    sipPorts: null,
    window: { from: null, to: null },
  });
  for (let index = 0; index < calls; index++) {
    const at = index * 8;
    const callId = `call-${index}@192.0.2.10`;
    const [offer, answer] = [10_000 + (index % 10_000) * 2, 30_000 + (index % 10_000) * 2];
    const address = index % 10 === 0 ? '10.20.0.20' : '198.51.100.20';
    const one = film();
    one.say(at, alice, bob, 'INVITE', { callId, body: sdp('192.0.2.10', [offer]) });
    one.say(at + 0.1, bob, alice, '180 INVITE', { callId, to: 'b' });
    one.say(at + 0.5, bob, alice, '200 INVITE', { callId, to: 'b', body: sdp(address, [answer]) });
    one.say(at + 0.6, alice, bob, 'ACK', { callId, to: 'b' });
    for (let packet = 0; packet < 125; packet++) {
      one.talk(at + 0.7 + packet * 0.04, host('192.0.2.10', offer), host(address, answer));
      one.talk(at + 0.71 + packet * 0.04, host('198.51.100.20', answer), host('192.0.2.10', offer));
    }
    one.say(at + 6, alice, bob, 'BYE', { callId, to: 'b', cseq: 2 });
    one.say(at + 6.1, bob, alice, '200 BYE', { callId, to: 'b', cseq: 2 });
    for (const next of one.frames()) frame(next);
  }
  return finish([]);
}

function middle(values: readonly number[]): string {
  return `${median(values).toFixed(0)} ms`.padStart(9);
}

async function measure(slowdown: number): Promise<void> {
  const opening: number[] = [];
  const searching: number[] = [];
  const drawing: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const { page, close } = await watchedPage(browser);
    const session = await page.context().newCDPSession(page);
    await session.send('Emulation.setCPUThrottlingRate', { rate: slowdown });
    const start = performance.now();
    await page.goto(pathToFileURL(path).href, { waitUntil: 'commit' });
    await page.evaluate(painted('.calls > li'));
    opening.push(performance.now() - start);
    searching.push(
      await timed(page.locator('#search').fill(`call-${calls - 1}@`), page.evaluate(painted('.calls > li'))),
    );
    drawing.push(
      await timed(page.locator('.row').first().click(), page.evaluate(painted('.picture .packets'))),
    );
    await close();
  }
  const speed = slowdown === 1 ? 'this processor  ' : `${slowdown} times slower  `;
  console.log(`${speed} open${middle(opening)}   search${middle(searching)}   draw a call${middle(drawing)}`);
}

async function timed(...steps: readonly Promise<unknown>[]): Promise<number> {
  const start = performance.now();
  for (const step of steps) await step;
  return performance.now() - start;
}

/** Waits until something is there and was painted. */
function painted(selector: string): string {
  return `new Promise((resolve) => {
    const look = () => document.querySelector('${selector}') === null
      ? requestAnimationFrame(look)
      : requestAnimationFrame(() => setTimeout(resolve));
    look();
  })`;
}

const found = report();
const start = performance.now();
await writeReplayPage(path, found);
const written = performance.now() - start;
const browser = await launchChromium();
console.log(
  `${calls} calls, ${found.media.length} flows: ${(statSync(path).size / 1e6).toFixed(1)} MB, written in ${written.toFixed(0)} ms`,
);
for (const slowdown of [1, 4]) await measure(slowdown);
await browser.close();
rmSync(directory, { recursive: true });
