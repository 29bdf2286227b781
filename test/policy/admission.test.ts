import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { networkSet } from '../../src/address/network.ts';
import { defaults } from '../../src/config/schema.ts';
import { type AdmissionCaps, createAdmission } from '../../src/policy/admission.ts';
import { createPeers } from '../../src/policy/peers.ts';
import { networks, peer } from '../scene.ts';

const PBX = '192.0.2.10';
const TRUNK = '198.51.100.20';
const ATTACKER = '203.0.113.66';

function admissionWith(given: Partial<AdmissionCaps>, peers = [] as ReturnType<typeof peer>[]) {
  const caps = { ...defaults().caps, ...given };
  let inside = networks('192.0.2.0/24');
  const admission = createAdmission(
    () => caps,
    () => ({
      isInside: networkSet(inside),
      isOpenable: networkSet(inside),
      peerOf: createPeers(peers).peerOf,
    }),
    () => false,
  );
  /** How many of `most` calls from this address find a place. */
  const take = (source: string, most: number, destination = PBX) => {
    let count = 0;
    while (count < most && admission.call(source, destination) === null) count++;
    return count;
  };
  const move = (...texts: string[]) => {
    inside = networks(...texts);
  };
  return { admission, take, move };
}

describe('places of calls', () => {
  test('one outside address has half of those of a host, and the next one of what is left', () => {
    const { take, admission } = admissionWith({ callsPerHost: 400 });
    assert.equal(take(ATTACKER, 1000), 200);
    assert.equal(take(TRUNK, 1000), 100);
    assert.equal(admission.call(ATTACKER, PBX)?.reason, 'calls-per-host-limit');
    assert.equal(take('198.51.100.99', 10), 10);
  });

  test('who has less than what is left goes on while another has its share', () => {
    const { take } = admissionWith({ callsPerHost: 4000 });
    assert.equal(take(TRUNK, 1000), 1000);
    assert.equal(take(ATTACKER, 9999), 1500);
    assert.equal(take(TRUNK, 200), 200);
  });

  test('the addresses of an IPv6 /64 are one party', () => {
    const { take } = admissionWith({ callsPerHost: 400 });
    let count = 0;
    for (let i = 1; i < 400; i++) count += take(`2001:db8::${i.toString(16)}`, 1);
    assert.equal(count, 200);
    assert.equal(take('2001:db8:0:1::1', 1), 1);
  });

  test('a named peer has all of them, or what its own bound says', () => {
    const itsp = peer('itsp', { networks: networks('198.51.100.0/24') });
    assert.equal(admissionWith({ callsPerHost: 400 }, [itsp]).take(TRUNK, 1000), 400);
    const bounded = admissionWith({ callsPerHost: 400 }, [{ ...itsp, calls: 30 }]);
    assert.equal(bounded.take(TRUNK, 1000), 30);
    assert.equal(bounded.admission.call('198.51.100.21', PBX)?.reason, 'calls-per-peer-limit');
  });

  test('an inside host has half of all, and leaves the others room', () => {
    const { take, admission } = admissionWith({ calls: 1000 });
    assert.equal(take('192.0.2.66', 9999, TRUNK), 500);
    assert.equal(admission.call('192.0.2.66', TRUNK)?.reason, 'calls-limit');
    assert.equal(take('192.0.2.67', 9999, TRUNK), 250);
    assert.equal(take(PBX, 100, TRUNK), 100);
  });

  test('bounds too small to be shared are had in full', () => {
    assert.equal(admissionWith({ callsPerHost: 99 }).take(TRUNK, 1000), 99);
    assert.equal(admissionWith({ calls: 99 }).take(TRUNK, 1000), 99);
  });

  test('a place that is left is free again, also when the host is not inside any more', () => {
    const { take, admission, move } = admissionWith({ callsPerHost: 10 });
    assert.equal(take(TRUNK, 20), 10);
    admission.release(TRUNK, PBX);
    assert.equal(take(TRUNK, 20), 1);
    move('10.0.0.0/8');
    admission.recount([[TRUNK, PBX]]);
    move('192.0.2.0/24');
    admission.recount([[TRUNK, PBX]]);
    assert.equal(take(TRUNK, 20), 9);
  });
});

describe('offers a second', () => {
  test('are counted of inside hosts, each by itself', () => {
    const { admission } = admissionWith({ offersPerSecond: 2 });
    const reasons = (source: string) =>
      [0, 0, 0, 500].map((now) => admission.offer(source, TRUNK, now)?.reason ?? null);
    assert.deepEqual(reasons(PBX), [null, null, 'offer-rate-limit', null]);
    assert.deepEqual(reasons('192.0.2.11'), [null, null, 'offer-rate-limit', null]);
    assert.deepEqual(reasons(TRUNK), [null, null, null, null]);
  });

  test('to a named peer without a bound of its own are those of the host', () => {
    const itsp = peer('itsp', { networks: networks('198.51.100.0/24') });
    const { admission } = admissionWith({ offersPerSecond: 1 }, [itsp]);
    assert.equal(admission.offer(PBX, TRUNK, 0), null);
    assert.equal(admission.offer('192.0.2.11', TRUNK, 0), null);
    assert.equal(admission.offer(PBX, ATTACKER, 0)?.reason, 'offer-rate-limit');
  });
});
