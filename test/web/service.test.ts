import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { CallPicture, LiveSnapshot } from '../../src/report/page/model.ts';
import { udpPacket } from '../packets.ts';
import { launchChromium, watchedPage, withoutChromium } from '../page/chromium.ts';
import { sdp, sip } from '../scene.ts';
import { type Daemon, startDaemon, takePort, until } from './daemon.ts';

const started: Daemon[] = [];
after(async () => {
  for (const daemon of started) await daemon.close();
});

function start(web: string): Daemon {
  const daemon = startDaemon(web);
  started.push(daemon);
  return daemon;
}

async function freeAddress(): Promise<string> {
  const { port, free } = await takePort();
  await free();
  return `127.0.0.1:${port}`;
}

const alice = { address: '192.0.2.1', port: 5060 };
const bob = { address: '10.0.0.5', port: 5060 };
const invite = (callId: string) =>
  udpPacket(alice, bob, sip('INVITE', { callId, body: sdp(alice.address, [6000]) }));
const answer = (callId: string) =>
  udpPacket(bob, alice, sip('200 INVITE', { callId, to: 'b', body: sdp(bob.address, [4000]) }));
const ack = (callId: string) => udpPacket(alice, bob, sip('ACK', { callId, to: 'b' }));
const bye = (callId: string) => udpPacket(alice, bob, sip('BYE', { callId, to: 'b', cseq: 2 }));
const byeDone = (callId: string) => udpPacket(bob, alice, sip('200 BYE', { callId, to: 'b', cseq: 2 }));
const answered = (callId: string) => [invite(callId), answer(callId), ack(callId)];

const get = async <T>(url: string): Promise<T> => (await (await fetch(url)).json()) as T;
const isRunning = /pinholed .* pid \d+/;

test('a call of the daemon, as data', async () => {
  const address = await freeAddress();
  const daemon = start(address);
  await daemon.said(/web: the live page is at http:\/\/127\.0\.0\.1:\d+\//);
  const before = Date.now() / 1000;
  await daemon.pass(...answered('one'));

  let live!: LiveSnapshot;
  await until(async () => {
    live = await get<LiveSnapshot>(`http://${address}/live.json`);
    return live.rows.some(({ state }) => state === 'confirmed');
  });
  assert.equal(live.rows.length, 1);
  const row = live.rows[0]!;
  assert.deepEqual(
    [row.callId, row.parties, row.pinholes, row.endedAt],
    ['one', [alice.address, bob.address], 1, null],
  );
  for (const at of [row.startedAt, row.answeredAt!, live.at]) {
    assert.ok(at > before - 1 && at < Date.now() / 1000 + 1, `${at} is a date of now`);
  }
  assert.deepEqual([live.calls, live.pinholes, live.rowsOmitted, live.alarms], [1, 1, 0, []]);
  assert.deepEqual([live.counters.packets, live.counters.messages, live.counters.calls], [3, 3, 1]);
  assert.ok(live.latency.inspection!.p50 <= live.latency.inspection!.p99);
  assert.ok(live.latency.commit!.p50 > 0);
  assert.match(live.platform, /nftables/);
  assert.equal(live.mode, 'fail: closed, no supervisor');

  await daemon.pass(bye('one'), byeDone('one'));
  await until(async () => {
    live = await get<LiveSnapshot>(`http://${address}/live.json`);
    return live.rows[0]?.endedAt !== null;
  });
  assert.equal(live.rows[0]!.outcome, 'bye');
  const { call } = await get<CallPicture>(`http://${address}/call.json?legId=${row.legId}`);
  assert.deepEqual(
    call.messages.map(({ summary, src, dst }) => [summary, src, dst]),
    [
      ['INVITE', alice.address, bob.address],
      ['200 Reason', bob.address, alice.address],
      ['ACK', alice.address, bob.address],
      ['BYE', alice.address, bob.address],
      ['200 Reason (BYE)', bob.address, alice.address],
    ],
  );
  assert.deepEqual(
    call.pinholes.map(({ address: to, ports, sources, closeReason }) => [to, ports, sources, closeReason]),
    [[bob.address, [4000, 4001], [alice.address], 'bye']],
  );
  assert.ok(call.pinholes[0]!.openedAt >= call.startedAt && call.pinholes[0]!.closedAt! <= call.endedAt! + 1);
  assert.equal((await fetch(`http://${address}/call.json?legId=0123456789abcdef`)).status, 404);
});

test('a call of the daemon, in a browser', { skip: withoutChromium }, async () => {
  const address = await freeAddress();
  const daemon = start(address);
  await daemon.said(isRunning);
  await daemon.pass(...answered('seen <b>'));
  daemon.count(75);
  const browser = await launchChromium();
  try {
    const { page, complaints, requests } = await watchedPage(browser);
    await page.goto(`http://${address}/`);
    await page.locator('.row', { hasText: 'seen <b>' }).waitFor();
    assert.match((await page.locator('.row .when').textContent())!, /confirmed/);
    await page.locator('.row').click();
    await page.locator('.arrow').first().waitFor();
    assert.equal(await page.locator('.arrow .head').count(), 3);

    await daemon.pass(bye('seen <b>'), byeDone('seen <b>'));
    await page.locator('.arrow .head').nth(4).waitFor();
    assert.equal(await page.locator('.arrow .head').count(), 5, 'the picture went on by itself');
    await page.locator('.row .when', { hasNotText: 'confirmed' }).waitFor();
    assert.deepEqual(complaints, []);
    assert.ok(requests.every((url) => url.startsWith(`http://${address}/`)));
  } finally {
    await browser.close();
  }
});

test('nothing listens unless it is asked for, and a reload turns it on, moves it, and turns it off', async () => {
  const [first, second] = [await freeAddress(), await freeAddress()];
  const daemon = start('off');
  await daemon.said(isRunning);
  assert.doesNotMatch(daemon.stderr(), /live page/);
  await assert.rejects(fetch(`http://${first}/`));
  await daemon.pass(...answered('stays'));

  daemon.reload(first);
  await daemon.said(new RegExp(`live page is at http://${first}/`));
  const { rows } = await get<LiveSnapshot>(`http://${first}/live.json`);
  assert.deepEqual(
    rows.map(({ callId }) => callId),
    ['stays'],
    'calls from before it was there',
  );
  daemon.reload(second);
  await daemon.said(new RegExp(`live page is at http://${second}/`));
  await until(() =>
    fetch(`http://${first}/`).then(
      () => false,
      () => true,
    ),
  );
  assert.equal((await fetch(`http://${second}/`)).status, 200);

  const taken = await takePort();
  daemon.reload(`127.0.0.1:${taken.port}`);
  await daemon.said(/EADDRINUSE\); the live page stays at http/);
  assert.equal((await fetch(`http://${second}/`)).status, 200);
  await taken.free();

  daemon.reload('off');
  await daemon.said(/the live page is off/);
  await until(() =>
    fetch(`http://${second}/`).then(
      () => false,
      () => true,
    ),
  );
  assert.deepEqual(
    daemon.rules().map(({ ports }) => ports[0]),
    [4000],
    'the call did not notice',
  );
});

test('an address that is taken is an error of the start', async () => {
  const { port, free } = await takePort();
  const daemon = start(`127.0.0.1:${port}`);
  assert.notEqual(await daemon.exit, 0);
  assert.match(daemon.stderr(), new RegExp(`web: 127\\.0\\.0\\.1:${port}: something else listens there`));
  await free();
});
