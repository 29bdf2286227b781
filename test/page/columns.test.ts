import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { columnOf, valuesOf } from '../../src/report/page/columns.ts';

/** The way through the file and back: columns are written as JSON. */
function there(values: readonly unknown[]): unknown[] {
  return valuesOf(JSON.parse(JSON.stringify(columnOf(values))), values.length);
}

/** What JSON itself makes of values. */
function asJson(values: readonly unknown[]): unknown {
  return JSON.parse(JSON.stringify(values));
}

const HOSTILE = ['</script><script>alert(1)', '<!--', '__proto__', 'constructor', '\u2028\u0000\ud800', ''];
const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...HOSTILE));
/** Seconds since the epoch, to the microsecond; ports; what no step is exact for. */
const number = fc.oneof(
  fc.integer({ min: 1_700_000_000_000_000, max: 1_900_000_000_000_000 }).map((us) => us / 1e6),
  fc.nat(65_535),
  fc.double(),
  fc.constantFrom(-0, 2 ** 52, -(2 ** 53), Number.MAX_VALUE, Number.NaN, Number.POSITIVE_INFINITY),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, undefined, true, false),
    number,
    text,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(text, tie('value'), { maxKeys: 4 }),
  ),
}));

test('whatever JSON can say comes back from columns', () => {
  fc.assert(
    fc.property(fc.array(value, { maxLength: 40 }), (values) => {
      assert.deepEqual(there(values), asJson(values));
    }),
    { numRuns: 2000 },
  );
});

/** Objects as those of a report: some members are not always there, or null, or one of few texts. */
const row = fc.record(
  {
    at: number,
    endedAt: fc.option(number),
    src: fc.constantFrom('192.0.2.10', '198.51.100.20', '2001:db8::1'),
    kinds: fc.dictionary(fc.constantFrom('rtp', 'rtcp', 'stun'), fc.nat(1000)),
    counts: fc.array(fc.nat(100), { maxLength: 6 }),
    lines: fc.array(fc.record({ frame: fc.nat(), text }), { maxLength: 3 }),
    file: fc.nat(3),
  },
  { requiredKeys: ['at', 'endedAt', 'src', 'kinds', 'counts', 'lines'] },
);

test('rows of a report come back from columns, members in their order', () => {
  fc.assert(
    fc.property(fc.array(row, { maxLength: 60 }), (rows) => {
      assert.equal(JSON.stringify(there(rows)), JSON.stringify(rows));
    }),
    { numRuns: 300 },
  );
});

test('what rows have in common is written once', () => {
  const rows = Array.from({ length: 1000 }, (_, index) => ({
    startedAt: 1_795_737_600 + index / 100,
    source: ['192.0.2.10', '198.51.100.20'][index % 2],
    state: 'ended',
  }));
  const written = JSON.stringify(columnOf(rows));
  assert.equal(written.split('startedAt').length, 2);
  assert.equal(written.split('192.0.2.10').length, 2);
  assert.equal(written.split('ended').length, 2);
  assert.ok(written.length < JSON.stringify(rows).length / 4, `${written.length} characters`);
});
