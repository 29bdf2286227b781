import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { defaults } from '../../src/config/schema.ts';
import { writeCall } from '../../src/inspector/record.ts';
import { createInspector } from '../../src/inspector.ts';
import { settingsWith } from '../daemon/doubles.ts';
import { udpPacket } from '../packets.ts';
import { host, networks, sdp, sip } from '../scene.ts';
import { createFirewalls } from './firewalls.ts';
import { createShelf } from './memory-store.ts';

const RUNS = Number(process.env.PINHOLED_HOSTILE_RECORDS ?? 150);
const phone = host('192.0.2.10');
const trunk = host('198.51.100.20');
const CALLS = 20;
const STREAMS = 3;

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A call that is up, as another firewall writes it. */
const RECORD = (() => {
  const inspector = createInspector(() => settingsWith({ inside: networks('192.0.2.0/24') }));
  const callId = 'forged@example.com';
  const candidate = { port: 4000, attributes: ['candidate:1 1 UDP 1 192.0.2.10 4010 typ host'] };
  for (const [from, to, text] of [
    [phone, trunk, sip('INVITE', { callId, body: sdp(phone.address, [candidate, 4100]) })],
    [trunk, phone, sip('180 INVITE', { callId, to: 'b' })],
    [trunk, phone, sip('200 INVITE', { callId, to: 'b', body: sdp(trunk.address, [6000, 6100]) })],
    [phone, trunk, sip('ACK', { callId, to: 'b' })],
    [phone, trunk, sip('INVITE', { callId, to: 'b', cseq: 2, body: sdp(phone.address, [4200, 4300]) })],
  ] as const) {
    inspector.inspect(udpPacket(from, to, text), 1, null);
  }
  const [call] = [...inspector.calls()];
  const scribe = { machine: '0000000f', boot: null, now: () => 1, wall: () => 1.7e12 };
  const text = writeCall(inspector.dump(call!.legId)!, scribe);
  return { legId: call!.legId, text };
})();

/** What stands where something else was: what such places hold, and what none does. */
const anything: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json[]>(null, true, false, 0, 1, 2, -1, 1e308, 65_535, 65_536, '', [], {}, [[]], '\u0000'),
  fc.constantFrom('10.0.0.1', '192.0.2.1', '192.0.2.10', '198.51.100.20', '::1', '2001:db8::1', '0.0.0.0'),
  fc.constantFrom(
    'calling',
    'ringing',
    'confirmed',
    'terminating',
    'ended',
    'bye',
    'media',
    '0123456789abcdef',
  ),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'x'.repeat(10_000)),
  fc.integer(),
  fc.double(),
  fc.string(),
);

/** At the place that `path` leads to, something else; from another place of the same record where `from` is given. */
interface Change {
  readonly path: readonly number[];
  readonly how: 'replace' | 'remove' | 'copy' | 'repeat';
  readonly value: Json;
  readonly from: readonly number[];
}

const path = fc.array(fc.nat(40), { minLength: 1, maxLength: 8 });
const change: fc.Arbitrary<Change> = fc.record({
  path,
  how: fc.constantFrom('replace', 'replace', 'replace', 'remove', 'copy', 'repeat'),
  value: anything,
  from: path,
});

interface Place {
  readonly holder: Json[] | { [key: string]: Json };
  readonly key: string;
}

/** The place that is met by going down, at each step by the key whose turn it is. */
function placeIn(root: { [key: string]: Json }, steps: readonly number[]): Place {
  let holder: Place['holder'] = root;
  let key = '';
  for (const step of steps) {
    const keys = Object.keys(holder);
    key = keys[step % keys.length]!;
    const next: Json = (holder as { [key: string]: Json })[key]!;
    if (typeof next !== 'object' || next === null || Object.keys(next).length === 0) break;
    if (step === steps.at(-1)) break;
    holder = next;
  }
  return { holder, key };
}

function apply(root: { [key: string]: Json }, { path, how, value, from }: Change): void {
  const { holder, key } = placeIn(root, path);
  const there = holder as { [key: string]: Json };
  if (how === 'replace') there[key] = value;
  else if (how === 'remove') {
    if (Array.isArray(holder)) holder.splice(Number(key), 1);
    else delete there[key];
  } else if (how === 'repeat') {
    if (Array.isArray(holder))
      for (let count = 0; count < 50; count++) holder.push(structuredClone(there[key]!));
  } else {
    const source = placeIn(root, from);
    there[key] = structuredClone((source.holder as { [key: string]: Json })[source.key] ?? null);
  }
}

function forged(changes: readonly Change[]): string {
  const root = JSON.parse(RECORD.text) as { [key: string]: Json };
  for (const one of changes) apply(root, one);
  return JSON.stringify(root);
}

const records = fc.array(fc.array(change, { maxLength: 4 }), { minLength: 1, maxLength: 8 });

it('what a record of the store says opens nothing that the settings here do not let be opened, and breaks nothing', async () => {
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(records, fc.boolean(), async (forgeries, isUnderOneName) => {
      const shelf = createShelf();
      const { member, settle, skip } = createFirewalls(shelf);
      const firewall = member(1, {
        inside: networks('192.0.2.0/24'),
        mediaPorts: [[4000, 9999]],
        caps: { ...defaults().caps, calls: CALLS, streams: STREAMS },
      });
      try {
        await settle();
        firewall.send(phone, trunk, sip('INVITE', { body: sdp(phone.address, [5000]) }));
        const forger = shelf.connect();
        const texts = forgeries.map(forged);
        for (const [at, text] of texts.entries()) {
          const name = isUnderOneName ? RECORD.legId : nameIn(text);
          const stamp = { generation: 0, phase: 0, version: 2 * at + 1, machine: '0000000f' } as const;
          await forger.write([{ name, stamp, text, wait: '' }]);
          await settle();
          check(firewall);
        }
        firewall.send(phone, trunk, sip('BYE', { callId: 'forged@example.com', to: 'b', cseq: 9 }));
        firewall.media();
        for (const ms of [1000, 60_000, 600_000, 86_400_000]) {
          skip(ms);
          await settle();
          check(firewall);
        }
        taken += texts.length - firewall.group.status().refused;
        firewall.send(
          phone,
          trunk,
          sip('INVITE', { callId: 'later', from: 'z', body: sdp(phone.address, [5100]) }),
        );
        assert.ok(firewall.open().includes('192.0.2.10 5100-5101'), 'it goes on');
      } finally {
        await firewall.end();
      }
    }),
    { numRuns: RUNS, seed: 21 },
  );
  assert.ok(taken > RUNS / 4, `${taken} were records at all`);
});

function check({
  faults,
  open,
  calls,
}: Pick<ReturnType<ReturnType<typeof createFirewalls>['member']>, 'faults' | 'open' | 'calls'>): void {
  assert.equal(faults(), 0, 'nothing has thrown');
  for (const one of open()) {
    const [, first, last] =
      /^192\.0\.2\.[0-9]+ ([0-9]+)-([0-9]+)$/.exec(one) ?? assert.fail(`${one} is open`);
    assert.ok(Number(first) >= 4000 && Number(last) <= 9999, `${one} is open`);
  }
  assert.ok(calls().filter((state) => state !== 'ended').length <= CALLS);
}

function nameIn(text: string): string {
  return /"legId":"([0-9a-f]{16})"/.exec(text)?.[1] ?? RECORD.legId;
}
