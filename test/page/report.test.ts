import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { film } from '../replay/film.ts';
import { host, sdp } from '../scene.ts';
import { launchChromium, type Watched, watchedPage, withoutChromium } from './chromium.ts';
import { createShelf, replayed, type Shelf } from './reports.ts';

const skip = withoutChromium;
let browser: Browser;
let shelf: Shelf;

before(async () => {
  shelf = createShelf();
  if (skip === false) browser = await launchChromium();
});
after(async () => {
  shelf.clear();
  await browser?.close();
});

async function opened(name: string, options?: Parameters<typeof watchedPage>[1]): Promise<Watched> {
  const watched = await watchedPage(browser, options);
  await watched.page.goto(await shelf.put(name, replayed(name)));
  return watched;
}

/** The page was silent and asked for nothing but itself. */
function assertQuiet({ complaints, requests }: Watched): void {
  assert.deepEqual(complaints, []);
  assert.equal(requests.length, 1);
}

interface Expected {
  readonly capture: string;
  /** SIP messages: tshark -Y sip. */
  readonly arrows: number;
  /** A pinhole for each port a host announced, once more where the answer narrowed or widened its sources. */
  readonly bars: number;
  /** Flows of the call with packets that passed, and with packets that were blocked: tshark and pcaps/README.md. */
  readonly passed: number;
  readonly blocked: number;
  readonly title: RegExp;
}

const CAPTURES: readonly Expected[] = [
  { capture: 'basic-call', arrows: 7, bars: 2, passed: 4, blocked: 0, title: /passed in both directions/ },
  { capture: 'early-media', arrows: 7, bars: 2, passed: 2, blocked: 0, title: /passed in both directions/ },
  { capture: 'reinvite-moves-port', arrows: 10, bars: 4, passed: 4, blocked: 0, title: /passed in both/ },
  {
    ...{ capture: 'one-way-audio-private-address', arrows: 6, bars: 2, passed: 1, blocked: 1 },
    title: /^One-way audio: the callee cannot hear the caller\. All 75 packets to 10\.20\.0\.20 were blocked/,
  },
  {
    ...{ capture: 'one-way-audio-unannounced-source', arrows: 6, bars: 2, passed: 1, blocked: 1 },
    title: /^One-way audio: the caller cannot hear the callee\. All 75 packets to 192\.0\.2\.10 were blocked/,
  },
  {
    ...{ capture: 'attack-rtp-spray', arrows: 6, bars: 2, passed: 2, blocked: 3 },
    title: /27 packets from 203\.0\.113\.66 were kept out/,
  },
];

for (const { capture, arrows, bars, passed, blocked, title } of CAPTURES) {
  test(`picture of ${capture}: ${arrows} arrows, ${bars} bars`, { skip }, async () => {
    const watched = await opened(capture);
    const { page } = watched;
    assert.match((await page.locator('h1').textContent()) ?? '', title);
    assert.equal(await page.locator('.picture').count(), 1);
    assert.equal(await page.getByText('Lost packets').count(), 0);
    assert.equal(await page.locator('.arrow .head').count(), arrows);
    assert.equal(await page.locator('.pinhole .bar').count(), bars);
    assert.equal(await page.locator('.packets.passed').count(), passed);
    assert.equal(await page.locator('.packets.blocked').count(), blocked);
    assertQuiet(watched);
    await watched.close();
  });
}

/** `x` of every element that a selector finds, in order. */
async function places(page: Page, selector: string, attribute: string): Promise<number[]> {
  const found = await page.locator(selector).all();
  return Promise.all(found.map(async (one) => Number(await one.getAttribute(attribute))));
}

test('ladder and pinholes share one time axis', { skip }, async () => {
  const { page, close } = await opened('one-way-audio-private-address');
  const arrows = await places(page, '.arrow .shaft', 'x1');
  const bars = await places(page, '.pinhole .bar', 'x');
  assert.deepEqual(
    arrows,
    arrows.toSorted((a, b) => a - b),
  );
  assert.deepEqual(bars, [arrows[0], arrows[2]], 'opened by INVITE, and again by the 200');
  const sign = await places(page, '.refusal circle', 'cx');
  assert.deepEqual(sign, [arrows[2]], 'the 200 announced the foreign address');
  await close();
});

test('messages of one TCP segment have arrows of their own', { skip }, async () => {
  const { page, close } = await opened('tcp-split');
  const arrows = await places(page, '.arrow .shaft', 'x1');
  assert.equal(arrows.length, 10);
  for (const [index, x] of arrows.entries()) if (index > 0) assert.ok(x - arrows[index - 1]! >= 20);
  await close();
});

test('arrows point from the sender to the receiver', { skip }, async () => {
  const { page, close } = await opened('basic-call');
  const from = await places(page, '.arrow .shaft', 'y1');
  const to = await places(page, '.arrow .shaft', 'y2');
  const down = from.map((y, index) => to[index]! > y);
  assert.deepEqual(down, [true, false, false, false, true, true, false]);
  await close();
});

test('what is pointed at is explained, with the mouse and with the arrow keys', { skip }, async () => {
  const { page, close } = await opened('one-way-audio-private-address');
  const tip = page.locator('.tip');
  await page.locator('.flow').last().hover();
  assert.match((await tip.textContent()) ?? '', /192\.0\.2\.10:49170 → 10\.20\.0\.20:40000/);
  await page.locator('.picture').focus();
  await page.keyboard.press('Home');
  assert.match((await tip.textContent()) ?? '', /^INVITE192\.0\.2\.10:5060 → 198\.51\.100\.20:5060/);
  await page.keyboard.press('End');
  assert.match((await tip.textContent()) ?? '', /^200 OK \(BYE\)/);
  await page.keyboard.press('Escape');
  assert.equal(await tip.isVisible(), false);
  await close();
});

test('a list of calls opens by keyboard, searches, filters and orders', { skip }, async () => {
  const watched = await opened('trunk-many-calls');
  const { page } = watched;
  assert.equal(await page.locator('.calls > li').count(), 20);
  assert.equal(await page.locator('.picture').count(), 0, 'a picture is drawn when it is opened');
  await page.keyboard.press('/');
  await page.keyboard.type('calls-17@');
  assert.equal(await page.locator('.calls > li').count(), 1);
  assert.equal(await page.locator('.count').textContent(), '1 of 20 calls');
  await page.locator('.row').focus();
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('.arrow .head').count(), 6);
  assert.equal(await page.locator('.pinhole .bar').count(), 2);
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('.picture').count(), 0);
  assertQuiet(watched);
  await watched.close();
});

/** A call that works, one whose answer names another host, and one that is refused. */
function mixedCalls() {
  const alice = host('192.0.2.10');
  const bob = host('198.51.100.20');
  const one = film();
  for (const [index, address] of ['198.51.100.20', '203.0.113.99'].entries()) {
    const [at, callId, branch] = [index * 10, `call-${index}`, `z9hG4bK-${index}`];
    const [offer, answer] = [4000 + index * 10, 5000 + index * 10];
    one.say(at, alice, bob, 'INVITE', { callId, branch, body: sdp('192.0.2.10', [offer]) });
    one.say(at + 0.5, bob, alice, '200 INVITE', { callId, branch, to: 'b', body: sdp(address, [answer]) });
    one.say(at + 0.6, alice, bob, 'ACK', { callId, to: 'b' });
    one.talk(at + 1, host('192.0.2.10', offer), host(address, answer), 50);
    one.talk(at + 1, host('198.51.100.20', answer), host('192.0.2.10', offer), 50);
    one.say(at + 5, alice, bob, 'BYE', { callId, to: 'b', cseq: 2 });
    one.say(at + 5.1, bob, alice, '200 BYE', { callId, to: 'b', cseq: 2 });
  }
  one.say(30, alice, bob, 'INVITE', { callId: 'call-2', body: sdp('192.0.2.10', [4020]) });
  one.say(30.2, bob, alice, '486 INVITE', { callId: 'call-2', to: 'b' });
  one.say(30.3, alice, bob, 'ACK', { callId: 'call-2', to: 'b' });
  return one.run();
}

test('filters hold what they say', { skip }, async () => {
  const watched = await watchedPage(browser);
  const { page } = watched;
  await page.goto(await shelf.put('mixed', mixedCalls()));
  const chips = await page.locator('.chip').allTextContents();
  assert.deepEqual(chips, ['All3', 'One way or none1', 'Passed1', 'No media1', 'With refusals1']);
  const ids = () => page.locator('.row .id').allTextContents();
  assert.deepEqual(await ids(), ['call-0', 'call-1', 'call-2']);
  await page.locator('.chip', { hasText: 'One way or none' }).click();
  assert.deepEqual(await ids(), ['call-1']);
  await page.locator('.chip', { hasText: 'No media' }).click();
  assert.deepEqual(await ids(), ['call-2']);
  await page.locator('.chip', { hasText: 'All' }).click();
  await page.locator('select').selectOption('worst first');
  assert.deepEqual(await ids(), ['call-1', 'call-2', 'call-0']);
  assertQuiet(watched);
  await watched.close();
});

const HOSTILE = [
  '</script><img src=x onerror=alert(1)>',
  '<!--<script>',
  '"><svg/onload=alert(1)>',
  '\u202egnp.exe',
  "'-alert(1)-'",
];

test('hostile Call-IDs and names are text', { skip }, async () => {
  const alice = host('192.0.2.10');
  const bob = host('198.51.100.20');
  const one = film();
  for (const [index, evil] of HOSTILE.entries()) {
    const text = [
      'INVITE sip:bob@example.com SIP/2.0',
      `Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK-${index}`,
      `From: "${evil.replaceAll('"', '\\"')}" <sip:alice@example.com>;tag=a${index}`,
      `To: "${evil.replaceAll('"', '\\"')}" <sip:bob@example.com>`,
      `Call-ID: ${index}${evil.replaceAll(' ', '-')}`,
      'CSeq: 1 INVITE',
      'Content-Type: application/sdp',
      '',
      sdp('192.0.2.10', [{ port: 4000 + index * 2, media: 'audio' }]),
    ].join('\r\n');
    one.send(index, alice, bob, Buffer.from(text, 'utf8'));
  }
  const report = one.run();
  assert.equal(report.calls.length, HOSTILE.length);
  const watched = await watchedPage(browser);
  const { page } = watched;
  page.on('dialog', (dialog) => assert.fail(`a dialog: ${dialog.message()}`));
  const address = await shelf.put('hostile', {
    ...report,
    files: ['</title><script>alert(2)</script>.pcap'],
  });
  await page.goto(address);
  const names = await page.locator('.who b:first-child').allTextContents();
  assert.deepEqual(names, HOSTILE.with(3, '\\u{202e}gnp.exe'));
  for (const row of await page.locator('.row').all()) await row.click();
  assert.equal(await page.locator('.picture').count(), HOSTILE.length);
  for (const words of await page.locator('.words summary').all()) await words.click();
  assert.equal(await page.locator('main img, main script, main iframe').count(), 0);
  assert.equal(await page.locator('script:not([type])').count(), 1);
  assertQuiet(watched);
  await watched.close();
  assert.equal(readFileSync(fileURLToPath(address), 'utf8').includes('<img'), false);
});

test('no control character of a message is in the file, not in its data either', async () => {
  const controls = Array.from({ length: 33 }, (_, index) => String.fromCharCode(0x7f + index)).join('');
  const one = film().send(
    0,
    host('192.0.2.10'),
    host('198.51.100.20'),
    Buffer.from(
      [
        'INVITE sip:bob@example.com SIP/2.0',
        'Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK-1',
        `From: "\x1b]0;${controls}" <sip:alice@example.com>;tag=a`,
        'To: <sip:bob@example.com>',
        `Call-ID: ${controls}`,
        'CSeq: 1 INVITE',
        '',
        '',
      ].join('\r\n'),
      'latin1',
    ),
  );
  const text = readFileSync(fileURLToPath(await shelf.put('controls', one.run())), 'utf8');
  assert.match(text, /\\u0085/);
  assert.doesNotMatch(text, /[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
});

test('injected script does not run, whatever it gets into', { skip }, async () => {
  const watched = await opened('basic-call');
  const { page, complaints } = watched;
  const run = `new Promise((resolve) => {
    const script = document.createElement('script');
    script.textContent = 'document.title = "run"';
    document.body.append(script);
    const image = document.createElement('img');
    image.setAttribute('onerror', 'document.title = "run"');
    image.src = 'data:,';
    document.body.append(image);
    setTimeout(() => resolve(document.title), 100);
  })`;
  assert.notEqual(await page.evaluate(run), 'run');
  assert.ok(complaints.some((one) => one.includes('Content Security Policy')));
  await watched.close();
});

for (const capture of ['one-way-audio-private-address', 'trunk-many-calls', 'ipv6-call']) {
  test(`${capture} fits a phone`, { skip }, async () => {
    const watched = await opened(capture, { viewport: { width: 390, height: 844 } });
    const { page } = watched;
    if (capture === 'trunk-many-calls') await page.locator('.row').first().click();
    assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 390);
    const picture = await page.locator('.picture').first().boundingBox();
    assert.ok(picture !== null && picture.width > 300 && picture.x + picture.width <= 390);
    assertQuiet(watched);
    await watched.close();
  });
}

/** Contrast of two colours `rgb(r, g, b)`, WCAG 2.2. */
function contrast(one: string, other: string): number {
  const luminance = (text: string) => {
    const parts = [...text.matchAll(/[0-9]+/g)].map(([digits]) => Number(digits) / 255);
    const linear = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0]! + 0.7152 * linear[1]! + 0.0722 * linear[2]!;
  };
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`text and packets stand out in ${colorScheme} mode`, { skip }, async () => {
    const watched = await opened('one-way-audio-private-address', { colorScheme });
    const style = (selector: string, property: string) =>
      watched.page.evaluate<string>(
        `getComputedStyle(document.querySelector(${JSON.stringify(selector)})).getPropertyValue('${property}')`,
      );
    const card = await style('.calls > li', 'background-color');
    assert.ok(
      contrast(await style('body', 'background-color'), 'rgb(0, 0, 0)') < 3 === (colorScheme === 'dark'),
    );
    assert.ok(contrast(await style('body', 'color'), card) >= 7);
    for (const [selector, property] of [
      ['.row small', 'color'],
      ['.facts dt', 'color'],
      ['.picture .good', 'fill'],
      ['.picture .bad', 'fill'],
    ] as const) {
      assert.ok(contrast(await style(selector, property), card) >= 4.5, selector);
    }
    assert.ok(contrast(await style('.packets.passed', 'fill'), card) >= 3);
    assert.match(await style('.packets.blocked', 'fill'), /hatch/, 'blocked is a pattern too');
    await watched.close();
  });
}

test('on paper there are no tools, and the picture is whole without being drawn again', {
  skip,
}, async () => {
  const watched = await watchedPage(browser);
  const { page } = watched;
  await page.addInitScript('ResizeObserver = class { observe() {} disconnect() {} }');
  await page.goto(await shelf.put('trunk-many-calls', replayed('trunk-many-calls')));
  await page.locator('.row').first().click();
  await page.locator('.picture').waitFor();
  await page.emulateMedia({ media: 'print' });
  await page.setViewportSize({ width: 690, height: 1000 });
  assert.equal(await page.locator('.tools').isVisible(), false);
  const card = await page.locator('.panel').boundingBox();
  const names = await page.locator('svg.names').boundingBox();
  const plot = await page.locator('.plot').boundingBox();
  assert.ok(card !== null && names !== null && plot !== null);
  assert.ok(plot.x + plot.width <= card.x + card.width);
  assert.ok(Math.abs(plot.height - names.height) < 2, 'names stand beside their rows');
  await watched.close();
});
