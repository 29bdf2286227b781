import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PF_IN, PF_OUT } from '../../native-bindings/freebsd/constants.ts';
import { readStates } from '../../src/firewall/pf/states.ts';
import { createTrafficCounter } from '../../src/firewall/pf/traffic.ts';
import { openPfFirewall } from '../../src/firewall/pf.ts';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';
import { createFakePf, type FakePf } from './fake-pf.ts';
import { ANCHOR, options, pinhole } from './firewall-checks.ts';
import { type End, forwarded, newId, PHONE, PUBLIC, state, TRUNK } from './states.ts';

const toPhone = pinhole(12_000, { sources: ['198.51.100.20'] });
const toTrunk: Pinhole = pinhole(30_000, { address: '198.51.100.20', sources: ['192.0.2.10'] });

function scene(...pinholes: Pinhole[]): { pf: FakePf; count(seconds: number): (one: Pinhole) => unknown } {
  const pf = createFakePf();
  openPfFirewall(pf, options).commit({ open: pinholes, close: [] });
  let now = 0;
  const counter = createTrafficCounter(pf, ANCHOR, () => now);
  return {
    pf,
    count(seconds) {
      now += seconds * 1000;
      const traffic = counter.count().counts;
      return ({ id }) => traffic.get(id);
    },
  };
}

describe('media counted from pf states', () => {
  it('each direction of a flow counts for its own pinhole, and once', () => {
    const { pf, count } = scene(toPhone, toTrunk);
    pf.stateTable = forwarded({ from: PHONE, to: TRUNK, packets: [7, 5] });
    const of = count(2);
    assert.deepEqual(of(toTrunk), { packets: 7, bytes: 700, sent: 5 });
    assert.deepEqual(of(toPhone), { packets: 5, bytes: 500, sent: 7 });
  });

  it('the same over IPv6', () => {
    const [here, there]: [End, End] = [
      ['2001:db8:2::10', 12_001],
      ['2001:db8:1::10', 30_000],
    ];
    const six = pinhole(12_000, { address: here[0], sources: [there[0]] });
    const { pf, count } = scene(six);
    pf.stateTable = forwarded({ from: there, to: here, packets: [3, 0] });
    assert.deepEqual(count(2)(six), { packets: 3, bytes: 300, sent: 0 });
  });

  it('media that comes back through nat', () => {
    const { pf, count } = scene(toPhone);
    pf.stateTable = forwarded({ from: PHONE, to: TRUNK, nat: PUBLIC, packets: [7, 5] });
    assert.deepEqual(count(2)(toPhone), { packets: 5, bytes: 500, sent: 7 });
  });

  it('not what a stranger sent by another rule, nor what goes to another port', () => {
    const { pf, count } = scene(toPhone);
    pf.stateTable = [
      ...forwarded({ from: ['198.51.100.66', 30_000], to: PHONE, packets: [9, 0] }),
      ...forwarded({ from: TRUNK, to: [PHONE[0], 12_002], packets: [9, 0] }),
    ];
    assert.deepEqual(count(2)(toPhone), { packets: 0, bytes: 0, sent: 0 });
  });

  it('states that ended still count, and those that follow them', () => {
    const { pf, count } = scene(toPhone);
    pf.stateTable = forwarded({ from: TRUNK, to: PHONE, packets: [10, 0] });
    count(2);
    pf.stateTable = [];
    assert.deepEqual(count(60)(toPhone), { packets: 10, bytes: 1000, sent: 0 });
    pf.stateTable = forwarded({ from: TRUNK, to: PHONE, packets: [4, 0] });
    assert.deepEqual(count(60)(toPhone), { packets: 14, bytes: 1400, sent: 0 });
    assert.deepEqual(count(2)(toPhone), { packets: 14, bytes: 1400, sent: 0 });
  });

  it('not what a state had passed before there was the pinhole', () => {
    const { pf, count } = scene();
    pf.stateTable = [];
    count(2);
    openPfFirewall(pf, options).commit({ open: [toPhone], close: [] });
    const [incoming, outgoing] = [newId(), newId()];
    const grown = (packets: number, age: number) => [
      state(PF_IN, { id: incoming, from: TRUNK, to: PHONE, packets: [packets, 0], age }),
      state(PF_OUT, { id: outgoing, from: TRUNK, to: PHONE, packets: [packets, 0], age }),
    ];
    pf.stateTable = grown(3000, 55);
    assert.deepEqual(count(2)(toPhone), { packets: 0, bytes: 0, sent: 0 });
    pf.stateTable = grown(3100, 57);
    assert.deepEqual(count(2)(toPhone), { packets: 100, bytes: 10_000, sent: 0 });
  });

  it('a count that could not read the rules loses nothing', () => {
    const { pf, count } = scene(toPhone);
    pf.stateTable = forwarded({ from: TRUNK, to: PHONE, packets: [10, 0], age: 100 });
    assert.deepEqual(count(2)(toPhone), { packets: 10, bytes: 1000, sent: 0 });
    pf.refuse = (call) => (call === 'DIOCGETRULENV' ? 'EBUSY' : null);
    count(2);
    pf.refuse = () => null;
    assert.deepEqual(count(2)(toPhone), { packets: 10, bytes: 1000, sent: 0 });
  });

  it('the last packets of a pinhole that was closed, also of one that no count saw open', () => {
    for (const seen of [true, false]) {
      const pf = createFakePf();
      const firewall = openPfFirewall(pf, options);
      const counter = createTrafficCounter(pf, ANCHOR, () => 0);
      const id = newId();
      const grown = (packets: number) => [
        state(PF_IN, { id, from: TRUNK, to: PHONE, packets: [packets, 0] }),
      ];
      firewall.commit({ open: [toPhone], close: [] });
      pf.stateTable = grown(10);
      if (seen) counter.count();
      pf.stateTable = grown(60);
      firewall.commit({ open: [], close: [toPhone] });
      assert.deepEqual(counter.last([toPhone], readStates(pf)).get(toPhone.id), { packets: 60, bytes: 6000 });
      assert.equal(counter.count().counts.get(toPhone.id), undefined);
    }
  });

  it('counts rules where there are too many states, and where the kernel does not tell them', () => {
    const { pf, count } = scene(toPhone);
    pf.pass(`${ANCHOR}/00`, 0, 7);
    assert.deepEqual(count(2)(toPhone), { packets: 7, bytes: 1400, sent: null });
    pf.stateTable = Array.from({ length: 100_001 }, () => ({}));
    assert.deepEqual(count(2)(toPhone), { packets: 7, bytes: 1400, sent: null });
  });
});
