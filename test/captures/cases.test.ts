import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parseNetwork } from '../../src/address/network.ts';
import { defaults } from '../../src/config/load.ts';
import { openCapture } from '../../src/intercept/capture.ts';
import { replayJson } from '../../src/report/replay/json.ts';
import { createReplay } from '../../src/report/replay/replay.ts';
import { sharedDir } from '../shared.ts';

/** What a case expects of a media flow; null: any. `check.py` beside the cases describes it. */
interface Expected {
  readonly src: string | null;
  readonly srcPort: number | null;
  readonly dst: string | null;
  readonly dstPort: number | null;
  readonly passed?: number | string;
  readonly blocked?: number | string;
  readonly says?: readonly string[];
  readonly saysNot?: readonly string[];
}

interface Case {
  readonly shows: string;
  readonly args: readonly string[];
  readonly config?: unknown;
  readonly expect: readonly Expected[];
  readonly refusal: string | null;
  readonly noRefusal: readonly string[];
}

interface Media {
  readonly src: string;
  readonly srcPort: number;
  readonly dst: string;
  readonly dstPort: number;
  readonly packets: number;
  readonly passed: number;
  readonly blocked: number;
  readonly blocks: readonly {
    readonly reason: string;
    readonly text: string;
    readonly advice: string | null;
  }[];
}

const NOTHING = { packets: 0, passed: 0, blocked: 0, blocks: [] } as const;

const directories = ['handed', 'guards'].map((name) => join(sharedDir, 'cases', name)).filter(existsSync);

function networksOf(args: readonly string[]) {
  const texts = args.filter((_, index) => args[index - 1] === '--inside');
  assert.equal(texts.length * 2, args.length, 'no other option is known here');
  return texts.map((text) => {
    const network = parseNetwork(text);
    assert.ok(network, text);
    return network;
  });
}

function replayed(path: string, args: readonly string[]) {
  const settings = { ...defaults(), inside: networksOf(args), trustMidstream: true };
  const window = { from: null, to: null };
  const { frame, finish } = createReplay({ files: [path], settings, tunnels: false, sipPorts: null, window });
  const reader = openCapture(path);
  for (const one of reader) frame(one);
  reader.close();
  const report = JSON.parse([...replayJson(finish([]))].join(''));
  return { media: report.media as Media[], refused: Object.keys(report.refused) };
}

function fits(want: number | string | undefined, count: number, total: number): boolean {
  if (want === undefined || want === 'any') return true;
  if (typeof want === 'number') return count === want;
  if (want === 'all') return total > 0 && count === total;
  if (want === 'none') return count === 0;
  if (want === 'all-or-none') return count === 0 || count === total;
  const bound = Number(want.slice(2));
  assert.ok(/^[<>]=[0-9]+$/.test(want), want);
  return want.startsWith('>=') ? count >= bound : count <= bound;
}

function isOf(flow: Media, { src, srcPort, dst, dstPort }: Expected): boolean {
  return (
    (src ?? flow.src) === flow.src &&
    (srcPort ?? flow.srcPort) === flow.srcPort &&
    (dst ?? flow.dst) === flow.dst &&
    (dstPort ?? flow.dstPort) === flow.dstPort
  );
}

function check(expected: Expected, media: readonly Media[]): void {
  const flows = media.filter((flow) => isOf(flow, expected));
  for (const flow of flows.length > 0 ? flows : [NOTHING]) {
    const { packets, passed, blocked, blocks } = flow;
    const told = `${JSON.stringify(expected)}: ${passed} passed, ${blocked} blocked, ${JSON.stringify(blocks)}`;
    assert.ok(fits(expected.passed, passed, packets) && fits(expected.blocked, blocked, packets), told);
    for (const { reason, text, advice } of blocks) {
      const words = `${reason} ${text} ${advice ?? ''}`.toLowerCase();
      const says = expected.says?.some((word) => words.includes(word.toLowerCase())) ?? true;
      assert.ok(says, `${JSON.stringify(expected.says)} in: ${words}`);
      for (const word of expected.saysNot ?? []) assert.ok(!words.includes(word.toLowerCase()), words);
    }
  }
}

describe('small captures after public reports, each with what is right', {
  skip: directories.length > 0 ? false : `needs the cases in ${sharedDir}`,
}, () => {
  for (const directory of directories) {
    for (const file of readdirSync(directory).filter((name) => name.endsWith('.json'))) {
      const { shows, args, config, expect, refusal, noRefusal }: Case = JSON.parse(
        readFileSync(join(directory, file), 'utf8'),
      );
      test(`${file.replace('.json', '')}: ${shows}`, () => {
        assert.equal(config ?? null, null, 'no configuration is known here');
        const { media, refused } = replayed(join(directory, file.replace('.json', '.pcap')), args);
        for (const expected of expect) check(expected, media);
        if (refusal !== null) assert.ok(refused.includes(refusal), `${refusal} in ${refused}`);
        assert.deepEqual(
          refused.filter((name) => noRefusal.includes(name)),
          [],
        );
      });
    }
  }
});
