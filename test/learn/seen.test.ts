import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { networkSet, parseNetwork } from '../../src/address/network.ts';
import { linesFor } from '../../src/learn/learn.ts';
import { createMeanings } from '../../src/learn/meaning.ts';
import { seenCall } from '../../src/learn/seen.ts';
import type { ReplayReport } from '../../src/report/replay/model.ts';
import { answeredCall, type Film, film } from '../replay/film.ts';
import { host } from '../scene.ts';

const inside = [parseNetwork('192.168.1.0/24')!, parseNetwork('192.168.2.0/24')!];
const provider = host('203.0.113.10');
const pbx = host('192.168.1.10');
const away = { address: provider.address, port: 20_000 };

/** The lines of a film's calls, as keys and values. */
function learned(one: Film): unknown[] {
  const { calls, media }: ReplayReport = one.run({ inside });
  const meaningOf = createMeanings(calls, media, networkSet(inside));
  return linesFor(calls.map((report) => seenCall(report, meaningOf))).map(({ key, value }) => [key, value]);
}

const BASE = [['inside', pbx.address]];
const REST = [
  ['peers', provider.address],
  ['media-ports', '10000-10001'],
];

describe('what a call needed', () => {
  it('is an external address, where a private host announces a public one and nobody else sends from there', () => {
    const external = { address: '198.51.100.2', port: 10_000 };
    const nat = [['nat', { external: external.address, hosts: [pbx.address] }]];
    const signalled = answeredCall(film(), pbx, provider, external, away);
    assert.deepEqual(learned(signalled), [...BASE, ...nat, ...REST]);
    // Behind the translation: its media comes from its own address, and from the external one after it.
    const both = answeredCall(film(), pbx, provider, external, away);
    both.talk(1, { ...pbx, port: 10_000 }, host(away.address, away.port), 3);
    both.talk(1.01, host(external.address, 10_000), host(away.address, away.port), 3);
    assert.deepEqual(learned(both), [...BASE, ...nat, ...REST]);
  });

  it('is a media host, where media comes from there, or where it is inside and no media is seen', () => {
    const relay = { address: '198.51.100.2', port: 10_000 };
    const sends = answeredCall(film(), pbx, provider, relay, away);
    sends.talk(1, host(relay.address, relay.port), host(away.address, away.port), 3);
    assert.deepEqual(learned(sends), [...BASE, ['media-hosts', relay.address], ...REST]);
    const gateway = { address: '192.168.2.30', port: 10_000 };
    assert.deepEqual(learned(answeredCall(film(), pbx, provider, gateway, away)), [
      ...BASE,
      ['media-hosts', gateway.address],
      ...REST,
    ]);
  });

  it('is nothing where a host announces what nobody is', () => {
    const nowhere = { address: '10.9.9.9', port: 10_000 };
    assert.deepEqual(learned(answeredCall(film(), pbx, provider, nowhere, away)), []);
  });

  it('is no peer where both are inside', () => {
    const phone = host('192.168.2.20');
    const call = answeredCall(
      film(),
      phone,
      pbx,
      { address: phone.address, port: 10_000 },
      { address: pbx.address, port: 10_100 },
    );
    assert.deepEqual(learned(call), [
      ['inside', pbx.address],
      ['inside', phone.address],
      ['media-ports', '10000-10101'],
    ]);
  });

  it('is no candidate that nothing used, no fork that lost, and nothing of a call that nobody answered', () => {
    const [report] = answeredCall(film(), pbx, provider, { address: pbx.address, port: 10_000 }, away).run({
      inside,
    }).calls;
    const needs = (changes: object, more: object = {}) =>
      seenCall(
        { ...report!, ...more, pinholes: report!.pinholes.map((one) => ({ ...one, ...changes })) },
        () => null,
      ).needed.length;
    assert.equal(needs({}), 1);
    assert.equal(needs({ onTrial: true }), 0);
    assert.equal(needs({ closeReason: 'losing-fork' }), 0);
    assert.equal(needs({ agreed: false }), 0);
    assert.equal(needs({}, { answeredAt: null }), 0);
    assert.equal(needs({ direction: 'out', packets: 5 }), 0);
    // Media says that it was needed all the same.
    for (const changes of [{ onTrial: true }, { agreed: false }])
      assert.equal(needs({ ...changes, packets: 1 }), 1);
    assert.equal(needs({ packets: 1 }, { answeredAt: null }), 1);
  });
});
