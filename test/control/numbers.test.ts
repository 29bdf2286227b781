import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { exposureOf, histogramOf, quantilesOf } from '../../src/control/numbers.ts';
import { createEpoch } from '../../src/control/units.ts';
import { createExposureMeter } from '../../src/daemon/data-path/exposure.ts';
import { createFidelityCheck } from '../../src/daemon/data-path/fidelity.ts';
import { BUCKET_BOUNDS, createHistogram, quantile } from '../../src/daemon/data-path/histogram.ts';
import { createSlices } from '../../src/daemon/data-path/slices.ts';
import type { DataPathStatus } from '../../src/daemon/messages.ts';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';
import { pinhole } from '../daemon/doubles.ts';

describe('latency histogram', () => {
  it('has powers of two of a microsecond up to a second as bounds', () => {
    assert.deepEqual(BUCKET_BOUNDS.slice(0, 5), [1, 2, 4, 8, 16]);
    assert.equal(BUCKET_BOUNDS.at(-1), 1_048_576);
  });

  it('counts each value in the first bucket whose bound is not below it', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 5_000_000, noNaN: true }), (micros) => {
        const histogram = createHistogram();
        histogram.record(micros / 1000);
        const { counts } = histogram.read();
        const exact = (micros / 1000) * 1000;
        const expected = BUCKET_BOUNDS.findIndex((bound) => exact <= bound);
        assert.equal(counts.indexOf(1), expected < 0 ? BUCKET_BOUNDS.length : expected);
      }),
    );
  });

  it('knows quantiles to a factor of two, never below the truth', () => {
    const values = fc.array(fc.double({ min: 1, max: 1_000_000, noNaN: true }), {
      minLength: 1,
      maxLength: 200,
    });
    fc.assert(
      fc.property(values, fc.constantFrom(0.5, 0.9, 0.99, 1), (micros, share) => {
        const histogram = createHistogram();
        for (const one of micros) histogram.record(one / 1000);
        const sorted = [...micros].sort((one, other) => one - other);
        const truth = sorted[Math.ceil(share * sorted.length) - 1]!;
        const bound = quantile(histogram.read(), share)!;
        assert.ok(bound >= truth * (1 - 1e-9) && bound <= 2 * truth * (1 + 1e-9), `${truth} in ${bound}`);
      }),
    );
  });

  it('is told in seconds', () => {
    const histogram = createHistogram();
    for (const ms of [0.003, 0.003, 1.5, 3000]) histogram.record(ms);
    const { buckets, count, sum, longest } = histogramOf(histogram.read());
    assert.deepEqual(
      buckets.filter((bucket) => bucket.count > 0),
      [
        { le: 0.000004, count: 2 },
        { le: 0.002048, count: 1 },
        { le: null, count: 1 },
      ],
    );
    assert.deepEqual([count, sum, longest], [4, 3.001506, 3]);
    assert.deepEqual(quantilesOf(histogram.read()), { median: 0.000004, p99: null, longest: 3 });
  });

  it('has no quantiles of nothing', () => {
    assert.deepEqual(quantilesOf(createHistogram().read()), { median: null, p99: null, longest: 0 });
  });
});

/** `ports` from 4000 on, towards `address`, for `sources`. */
function hole(address: string, ports: number, sources: Pinhole['sources'], first = 4000): Pinhole {
  const id = `${address} ${first} ${ports} ${String(sources)}`;
  return { ...pinhole(first), id, address, sources, ports: [first, first + ports - 1] };
}

describe('exposure', () => {
  const one = hole('10.0.0.5', 2, ['192.0.2.1']);
  const two = hole('10.0.0.6', 1, ['192.0.2.1', '192.0.2.2']);
  const three = hole('10.0.0.6', 2, 'any', 5000);

  it('adds up ports and sources times seconds', () => {
    const meter = createExposureMeter();
    meter.start([one], 10_000);
    meter.change({ open: [two], close: [] }, 20_000);
    meter.change({ open: [three], close: [one] }, 30_000);
    meter.change({ open: [], close: [two, three] }, 31_000);
    const status = { exposure: meter.read(110_000) } as DataPathStatus;
    const { span, hosts, pinholes, static: rule, ratio } = exposureOf(status, [10_000, 20_000]);
    assert.deepEqual([span, hosts, pinholes.portsNow, pinholes.sources], [100, 2, 0, 2]);
    // One: 2 ports for 20 s; two: 1 port for 11 s; three: 2 ports for 1 s.
    assert.equal(pinholes.portSeconds, 2 * 20 + 1 * 11 + 2 * 1);
    assert.equal(pinholes.anySourcePortSeconds, 2);
    assert.equal(pinholes.sourcePortSeconds, 2 * 20 + 1 * 11 * 2 + 2 * 2 ** 32);
    // 10001 ports of two hosts for 100 s.
    assert.equal(rule.portSeconds, 10_001 * 2 * 100);
    assert.equal(rule.sourcePortSeconds, 10_001 * 2 * 100 * 2 ** 32);
    assert.equal(ratio.portSeconds, (10_001 * 2 * 100) / 53);
  });

  it('counts no pinhole twice and none that never opened', () => {
    const meter = createExposureMeter();
    meter.start([], 0);
    meter.change({ open: [one], close: [] }, 0);
    meter.change({ open: [one], close: [two] }, 1000);
    assert.deepEqual([meter.read(2000).ports, meter.read(2000).portTime], [2, 4000]);
  });

  it('begins anew with what the filter holds at the start', () => {
    const meter = createExposureMeter();
    meter.change({ open: [one, two], close: [] }, 0);
    meter.start([two], 5000);
    const { span, ports, portTime } = meter.read(6000);
    assert.deepEqual({ span, ports, portTime }, { span: 1000, ports: 1, portTime: 1000 });
  });

  it('has no ratio to nothing', () => {
    const meter = createExposureMeter();
    meter.start([], 0);
    const { ratio } = exposureOf({ exposure: meter.read(1000) } as DataPathStatus, [10_000, 20_000]);
    assert.deepEqual(ratio, { portSeconds: null, sourcePortSeconds: null });
  });
});

describe('a list handed out in slices', () => {
  it('is handed out once, each slice costing what it holds', () => {
    let steps = 0;
    function* list() {
      for (let one = 0; one < 1000; one++) {
        steps++;
        yield one;
      }
    }
    const slices = createSlices(list);
    const found: number[] = [];
    let most = 0;
    for (let cursor: number | null = null; ; ) {
      const before = steps;
      const slice: ReturnType<typeof slices.take> = slices.take(cursor, 64);
      most = Math.max(most, steps - before);
      found.push(...slice!.items);
      cursor = slice!.cursor;
      if (cursor === null) break;
    }
    assert.deepEqual(
      found,
      Array.from({ length: 1000 }, (_, index) => index),
    );
    assert.equal(most, 64);
  });

  it('bears what comes and goes meanwhile', () => {
    const calls = new Map(Array.from({ length: 100 }, (_, index) => [index, index]));
    const slices = createSlices(() => calls.values());
    const first = slices.take(null, 40)!;
    for (let one = 20; one < 60; one++) calls.delete(one);
    calls.set(1000, 1000);
    const second = slices.take(first.cursor, 1000)!;
    assert.deepEqual(second.items, [...Array.from({ length: 40 }, (_, index) => 60 + index), 1000]);
    assert.equal(second.cursor, null);
  });

  it('keeps a few begun lists, and forgets the oldest', () => {
    const slices = createSlices(() => [1, 2, 3]);
    const cursors = Array.from({ length: 9 }, () => slices.take(null, 1)!.cursor);
    assert.equal(slices.take(cursors[0]!, 1), null);
    assert.deepEqual(slices.take(cursors[8]!, 1)!.items, [2]);
    assert.equal(slices.take(cursors[8]!, 1), null, 'a cursor serves once');
  });
});

describe('fidelity', () => {
  it('finds a changed byte, counts it and puts it back', () => {
    const check = createFidelityCheck(2);
    const packet = Buffer.from('INVITE sip:a');
    for (let time = 0; time < 4; time++) {
      check.before(packet);
      if (time === 2) packet.write('xx', 3);
      check.after(packet);
    }
    assert.equal(packet.toString(), 'INVITE sip:a');
    assert.deepEqual(check.counts, { compared: 2, modified: 2 });
  });

  it('looks at one packet in so many, of any length', () => {
    const check = createFidelityCheck(64);
    for (let time = 0; time < 640; time++) {
      const packet = Buffer.alloc(time);
      check.before(packet);
      check.after(packet);
    }
    assert.deepEqual(check.counts, { compared: 10, modified: 0 });
  });
});

describe('dates of the daemon', () => {
  it('do not waver, and follow when the time is set', () => {
    let wall = 1_000_000;
    let clock = 500.4;
    const epoch = createEpoch(
      () => clock,
      () => wall,
    );
    const first = epoch();
    wall += 1001;
    clock += 1000.1;
    assert.equal(epoch(), first);
    wall += 3_600_000;
    assert.equal(epoch(), wall - clock);
  });
});
