import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { Session } from 'node:inspector';

/**
 * Work, counted and not timed: how often each block of our code ran, by V8's own counters (what code coverage is
 * made of), and how many characters the built-in scans (indexOf, split, toString, a regular expression...) looked
 * at or copied. The same input gives the same number on every machine.
 *
 * Blocks are counted in code that is compiled after this file has run: import what is measured dynamically.
 */
export interface Work {
  readonly blocks: number;
  readonly characters: number;
  /** Regular expressions that ran, with the length of the longest text each was given. */
  readonly expressions: ReadonlyMap<string, number>;
}

/** Ours, and the one package that reads what comes from the wire. */
const MEASURED = ['/src/', '/sdp-transform/'];

const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

export function workOf(run: () => void): Work {
  blocksSoFar();
  return measure(run);
}

function measure(run: () => void): Work {
  const counter: Counter = { characters: 0, expressions: new Map() };
  counting = counter;
  try {
    run();
  } finally {
    counting = null;
  }
  return { blocks: blocksSoFar(), ...counter };
}

export function total({ blocks, characters }: Work): number {
  return blocks + characters;
}

/**
 * Runs with an input of `size` bytes and with one twice as long; a failure when work is more than `most` for each
 * byte, or when twice the input is more than two and a half times the work. Returns what the longer one took.
 */
export function assertLinear(
  name: string,
  size: number,
  most: number,
  run: (size: number) => () => void,
): Work {
  const [shorter, longer] = [run(size), run(2 * size)];
  blocksSoFar();
  const single = total(measure(shorter));
  const work = measure(longer);
  const double = total(work);
  const told = `${name}: ${single} steps for ${size} bytes, ${double} for twice as many`;
  assert.ok(double <= most * 2 * size, `${told}, at most ${most} for each`);
  assert.ok(double <= 2.5 * single + 20_000, told);
  return work;
}

/** Blocks that ran since this was asked last. */
function blocksSoFar(): number {
  let blocks = 0;
  session.post('Profiler.takePreciseCoverage', (error, coverage) => {
    assert.equal(error, null);
    for (const { url, functions } of coverage.result) {
      if (!MEASURED.some((part) => url.includes(part))) continue;
      for (const { ranges } of functions) for (const { count } of ranges) blocks += count;
    }
  });
  return blocks;
}

interface Counter {
  characters: number;
  readonly expressions: Map<string, number>;
}

type Cost = (self: unknown, args: readonly unknown[], result: unknown) => number;
type BuiltIn = (this: unknown, ...args: unknown[]) => unknown;

const ofSelf: Cost = (self) => lengthOf(self);
const ofResult: Cost = (_, __, result) => lengthOf(result);
const ofFirst: Cost = (_, args) => lengthOf(args[0]);
const ofBoth: Cost = (self, _, result) => lengthOf(self) + lengthOf(result);

/** A search from left to right: up to what it found. */
const ofSearch: Cost = (self, args, result) => {
  const from = typeof args[1] === 'number' ? args[1] : 0;
  return typeof result === 'number' && result >= 0 ? result - from + 1 : Math.max(0, lengthOf(self) - from);
};

const ofSearchBack: Cost = (self, args, result) => {
  const from = typeof args[1] === 'number' ? Math.min(args[1], lengthOf(self)) : lengthOf(self);
  return typeof result === 'number' && result >= 0 ? from - result + 1 : from;
};

const ofSplit: Cost = (self, args, result) =>
  args[1] === 1 && Array.isArray(result) ? lengthOf(result[0]) + 1 : lengthOf(self);

const BUILT_INS: readonly (readonly [object, Readonly<Record<string, Cost>>])[] = [
  [
    String.prototype,
    {
      indexOf: ofSearch,
      lastIndexOf: ofSearchBack,
      includes: ofSearch,
      startsWith: ofFirst,
      endsWith: ofFirst,
      split: ofSplit,
      replace: ofBoth,
      replaceAll: ofBoth,
      match: ofSelf,
      matchAll: ofSelf,
      search: ofSelf,
      trim: ofSelf,
      trimStart: ofSelf,
      trimEnd: ofSelf,
      toLowerCase: ofSelf,
      toUpperCase: ofSelf,
      normalize: ofSelf,
      localeCompare: ofSelf,
      repeat: ofResult,
      padStart: ofResult,
      padEnd: ofResult,
    },
  ],
  [
    Array.prototype,
    {
      join: ofBoth,
      indexOf: ofSearch,
      includes: ofSelf,
      concat: ofResult,
      slice: ofResult,
      splice: ofSelf,
      shift: ofSelf,
      unshift: ofSelf,
      reverse: ofSelf,
      sort: ofSelf,
    },
  ],
  [
    Object.getPrototypeOf(Uint8Array.prototype) as object,
    { indexOf: ofSearch, includes: ofSelf, set: ofFirst, fill: ofSelf, slice: ofResult, join: ofResult },
  ],
  [
    Buffer.prototype,
    {
      indexOf: ofSearch,
      lastIndexOf: ofSearchBack,
      includes: ofSelf,
      toString: ofResult,
      equals: ofSelf,
      compare: ofSelf,
      copy: (_, __, result) => Number(result),
      fill: ofSelf,
      write: ofFirst,
    },
  ],
  [Buffer, { from: ofResult, concat: ofResult, alloc: ofResult, byteLength: ofFirst }],
  [Map.prototype, { get: ofFirst, has: ofFirst, set: ofFirst, delete: ofFirst }],
  [Set.prototype, { has: ofFirst, add: ofFirst, delete: ofFirst }],
  [JSON, { stringify: ofResult, parse: ofFirst }],
  [TextDecoder.prototype, { decode: ofFirst }],
  [TextEncoder.prototype, { encode: ofFirst }],
];

const EXPRESSION_METHODS = [
  'exec',
  'test',
  Symbol.replace,
  Symbol.split,
  Symbol.match,
  Symbol.search,
] as const;

/** Where built-ins are counted; null while nothing is measured, and inside of a built-in that calls another one. */
let counting: Counter | null = null;

function watch(
  owner: object,
  name: string | symbol,
  note: (counter: Counter, ...call: Parameters<Cost>) => void,
) {
  const found = Object.getOwnPropertyDescriptor(owner, name);
  assert.equal(typeof found?.value, 'function', `no built-in ${String(name)}`);
  const original = found?.value as BuiltIn;
  const watched: BuiltIn = function (...args) {
    const counter = counting;
    if (counter === null) return original.apply(this, args);
    counting = null;
    try {
      const result = original.apply(this, args);
      note(counter, this, args, result);
      return result;
    } finally {
      counting = counter;
    }
  };
  Object.defineProperty(owner, name, { ...found, value: watched });
}

for (const [owner, costs] of BUILT_INS) {
  for (const [name, cost] of Object.entries(costs)) {
    watch(owner, name, (counter, self, args, result) => {
      if (args[0] instanceof RegExp) noteExpression(counter, args[0], self);
      counter.characters += cost(self, args, result);
    });
  }
}
for (const name of EXPRESSION_METHODS) {
  watch(RegExp.prototype, name, (counter, self, args) => {
    noteExpression(counter, self as RegExp, args[0]);
    counter.characters += lengthOf(args[0]);
  });
}

function noteExpression({ expressions }: Counter, expression: RegExp, subject: unknown): void {
  const longest = expressions.get(String(expression)) ?? 0;
  expressions.set(String(expression), Math.max(longest, lengthOf(subject)));
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string' || Array.isArray(value)) return value.length;
  return value instanceof Uint8Array ? value.length : 1;
}
