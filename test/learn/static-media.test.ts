import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StaticMedia } from '../../src/address/static-media.ts';
import { type Comparison, compare, outcomesIn, outcomesOf } from '../../src/learn/compare.ts';
import { JUDGED, judged } from '../../src/learn/judge.ts';
import { seenCall } from '../../src/learn/seen.ts';
import { tcpPacket } from '../packets.ts';
import { film } from '../replay/film.ts';
import { host, networks, settingsWith } from '../scene.ts';

const pbx = host('192.168.1.10', 5061);
const provider = host('203.0.113.7', 40_000);
const media = [host('203.0.113.7', 20_000), host('192.168.1.10', 10_000)] as const;
/** The first bytes of a ServerHello as OpenSSL 3 writes them. */
const SERVER_HELLO = Buffer.from('160303007a0200007603038e', 'hex');
const trunk: StaticMedia = {
  ...{ name: 'trunk', peers: networks('203.0.113.7'), mediaFrom: null },
  ...{ hosts: ['192.168.1.10'], ports: [[10_000, 10_099]] },
};
const narrow: StaticMedia = { ...trunk, ports: [[10_000, 10_001]] };
const elsewhere: StaticMedia = { ...trunk, peers: networks('203.0.113.8') };
const wide: StaticMedia = { ...trunk, mediaFrom: ['203.0.113.20'] };

const set = (staticMedia: readonly StaticMedia[], changes = {}) =>
  settingsWith({ inside: networks('192.168.0.0/16'), sipPorts: [[5060, 5061]], staticMedia, ...changes });

/** A connection of TLS, and media of which the PBX announced nothing that anybody could read. */
const replayed = (staticMedia: readonly StaticMedia[]) =>
  film()
    .packet(1, tcpPacket(pbx, provider, { seq: 1, payload: SERVER_HELLO }))
    .talk(2, ...media, 10)
    .run(set(staticMedia));

/** As `whatif` has it: the same capture under both. */
const whatif = (now: readonly StaticMedia[], next: readonly StaticMedia[]): Comparison =>
  compare(outcomesIn(replayed(now)), outcomesIn(replayed(next)));

/** As `reload --dry-run` has it: what a daemon remembers, decided anew. */
function dryRun(now: readonly StaticMedia[], next: readonly StaticMedia[], changes = {}): Comparison {
  const seen = replayed(now).calls.map((report) => seenCall(report, () => 'media-host'));
  return compare(outcomesOf(seen), judged(seen, set(next, changes), {}));
}

const linesOf = (differences: Comparison['losing']) => differences.flatMap(({ lines }) => lines);

for (const [name, tried] of [
  ['whatif', whatif],
  ['reload --dry-run', dryRun],
] as const) {
  describe(`${name}, of static-media`, () => {
    it('has nothing to say where nothing differs', () => {
      const { calls, opened, losing, gaining, otherwise } = tried([trunk], [trunk]);
      assert.deepEqual([calls, opened, losing, gaining, otherwise], [1, 1, [], [], []]);
    });

    it('names what would be open no more: without the entry, without the peer, with fewer ports', () => {
      for (const next of [[], [elsewhere], [{ ...trunk, name: 'other', peers: networks('203.0.113.9') }]]) {
        const { losing } = tried([trunk], next);
        assert.equal(losing[0]?.report.callId, 'static-media trunk 203.0.113.7');
        assert.match(linesOf(losing)[0]!, /^static at 192\.168\.1\.10:10000-10099: no call comes of it/);
      }
      assert.match(linesOf(tried([trunk], [narrow]).losing)[0]!, /^static at 192\.168\.1\.10:10000-10099/);
    });

    it('tells who else would be let in', () => {
      const { losing, otherwise } = tried([trunk], [wide]);
      assert.deepEqual(losing, []);
      assert.match(
        linesOf(otherwise)[0]!,
        /from 203\.0\.113\.20, 203\.0\.113\.7 in place of 203\.0\.113\.7$/,
      );
    });
  });
}

describe('whatif, of static-media', () => {
  it('names what an entry would open', () => {
    const { losing, gaining } = whatif([], [trunk]);
    assert.deepEqual(losing, []);
    assert.match(linesOf(gaining)[0]!, /^static at 192\.168\.1\.10:10000-10099: no call comes of it$/);
  });
});

describe('reload --dry-run, of static-media', () => {
  it('tries the setting, and what refuses its ports', () => {
    assert.ok(JUDGED.has('static-media'));
    const { losing } = dryRun([trunk], [trunk], { mediaPorts: [[20_000, 30_000]] });
    assert.match(linesOf(losing)[0]!, /port-out-of-range/);
  });
});
