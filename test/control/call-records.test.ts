import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keepHistory } from '../../src/commands/run/services.ts';
import { keepCallRecords } from '../../src/control/call-records.ts';
import type { LogSink } from '../../src/daemon/log/sink.ts';
import { sdp, sip } from '../scene.ts';
import { alice, bob, type InProcess, startInProcess } from './in-process.ts';

type Json = Record<string, unknown>;

function setUp(run: InProcess) {
  const lines: string[] = [];
  let reopened = 0;
  const sink: LogSink = {
    wantsTime: true,
    write: (line) => void lines.push(line),
    reopen: () => {
      reopened++;
    },
    close() {},
  };
  const records = keepCallRecords(run.daemon, keepHistory(run.daemon), sink, () => 0);
  return { records, read: () => lines.map((line) => JSON.parse(line) as Json), reopened: () => reopened };
}

function establish(run: InProcess, callId: string): void {
  run.send(alice, bob, sip('INVITE', { callId, body: sdp(alice.address, [6000]) }));
  run.wait(4000);
  run.send(bob, alice, sip('200 INVITE', { callId, to: 'b', body: sdp(bob.address, [8000]) }));
  run.send(alice, bob, sip('ACK', { callId, to: 'b' }));
  run.wait(300);
}

function hangUp(run: InProcess, callId: string): void {
  run.send(alice, bob, sip('BYE', { callId, to: 'b', cseq: 2 }));
  run.send(bob, alice, sip('200 BYE', { callId, to: 'b', cseq: 2 }));
}

describe('call records', () => {
  it('has one for a call that is over: parties, times, media each way, pinholes, reason', () => {
    const run = startInProcess();
    const { read } = setUp(run);
    const began = run.now;
    establish(run, 'one');
    for (const { id } of run.inspector.pinholes())
      run.media.set(id, { packets: 500, bytes: 86_000, sent: 0 });
    run.wait(60_000);
    assert.deepEqual(read(), [], 'none while it is under way');
    hangUp(run, 'one');
    run.wait(2000);
    const [record, ...others] = read();
    assert.deepEqual(others, []);
    const { type, from, to, caller, callee, endReason, packets, bytes, sent, seconds } = record!;
    assert.deepEqual({ type, caller, callee }, { type: 'call', caller: alice.address, callee: bob.address });
    assert.match(`${from} ${to}`, /sip:alice@example\.com.* .*sip:bob@example\.com/);
    assert.deepEqual(
      { endReason, packets, bytes, sent },
      { endReason: 'bye', packets: 500, bytes: 86_000, sent: 0 },
    );
    assert.ok(Math.abs((seconds as number) - 60.3) < 0.1);
    assert.equal(record!['startedAt'], new Date(began + 1).toISOString());
    assert.equal(record!['legId'], [...run.inspector.calls()][0]!.legId);
    assert.equal('callId' in record!, false, 'hashed, as log.call-id says');
    const [pinhole, ...more] = record!['pinholes'] as Json[];
    assert.ok(more.every(({ closedAt }) => closedAt !== null));
    assert.equal(pinhole!['address'], bob.address);
  });

  it('has one for a call that nobody answered', () => {
    const run = startInProcess();
    const { read } = setUp(run);
    run.send(alice, bob, sip('INVITE', { callId: 'busy', body: sdp(alice.address, [6000]) }));
    run.send(bob, alice, sip('486 INVITE', { callId: 'busy', to: 'b' }));
    run.wait(2000);
    run.wait(60_000);
    const [record] = read();
    const { endReason, status, answeredAt, seconds } = record!;
    assert.deepEqual(
      { endReason, status, answeredAt, seconds },
      { endReason: 'failed', status: 486, answeredAt: null, seconds: 0 },
    );
  });

  it('has so many a second of calls that came to nothing as the log has lines, says how many others there were, and all that were answered', () => {
    const run = startInProcess();
    run.settings = { ...run.settings, log: { ...run.settings.log, rate: 10 } };
    const { read } = setUp(run);
    for (let at = 0; at < 100; at++) {
      run.send(alice, bob, sip('INVITE', { callId: `flood-${at}`, from: `${at}` }));
      run.send(bob, alice, sip('486 INVITE', { callId: `flood-${at}`, from: `${at}`, to: 'b' }));
    }
    establish(run, 'one');
    hangUp(run, 'one');
    run.wait(5000);
    const records = read();
    const written = records.filter(({ endReason }) => endReason === 'failed').length;
    const omitted = records.flatMap(({ type, calls }) => (type === 'omitted' ? [calls as number] : []));
    assert.ok(written < 40, `${written}`);
    assert.equal(written + omitted.reduce((sum, count) => sum + count, 0), 100);
    assert.equal(records.filter(({ endReason }) => endReason === 'bye').length, 1);
  });

  it('writes at a stop what has ended and has pinholes still, and opens its file anew when it is told to', () => {
    const run = startInProcess();
    run.settings = { ...run.settings, timers: { ...run.settings.timers, drain: 60_000 } };
    const { read, records, reopened } = setUp(run);
    establish(run, 'one');
    hangUp(run, 'one');
    run.wait(300);
    assert.deepEqual(read(), []);
    records.reopen();
    assert.equal(reopened(), 1);
    records.close();
    assert.equal(read().length, 1);
  });
});
