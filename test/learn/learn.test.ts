import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { networkHas, parseNetwork } from '../../src/address/network.ts';
import { annotated, type Line } from '../../src/config/annotated.ts';
import { loadConfig, type Settings } from '../../src/config/load.ts';
import { replayed } from '../../src/learn/captures.ts';
import { compare, outcomesIn } from '../../src/learn/compare.ts';
import { linesFor } from '../../src/learn/learn.ts';
import { rangesOf, signallingPorts, without } from '../../src/learn/ports.ts';
import { learnFromCaptures, type Proposal } from '../../src/learn/proposal.ts';
import { aroundOf, proposalText } from '../../src/learn/words.ts';
import { CAPTURES } from './captures.ts';

const own = (name: string) => fileURLToPath(new URL(`../../pcaps/${name}.pcap`, import.meta.url));
const inside = [parseNetwork('198.51.100.0/24')!];
const valuesOf = (lines: readonly Line[], key: string) =>
  lines.filter((line) => line.key === key).map(({ value }) => value);

function loaded(lines: readonly Line[]): Settings {
  const found = loadConfig(annotated([], lines, []), 'learned');
  if ('settings' in found) return found.settings;
  return assert.fail(JSON.stringify(found.problems));
}

/** An address and a port that no capture has, where a list may not be empty or would mean everybody. */
const NOBODY: Readonly<Record<string, Line['value']>> = {
  inside: '198.18.0.1',
  peers: '198.18.0.1',
  'media-ports': 65_535,
};

/** Every configuration that lets in less: without an item, or with a range that is one port shorter. */
function* narrower(lines: readonly Line[]): Generator<readonly [what: string, lines: readonly Line[]]> {
  for (const line of lines) {
    const { key, value } = line;
    // What the daemon is handed is no matter of a replay.
    if (key === 'sip-ports') continue;
    const others = lines.filter((one) => one !== line);
    const nobody = NOBODY[key];
    const stand =
      nobody !== undefined && valuesOf(others, key).length === 0 ? [{ ...line, value: nobody }] : [];
    const rest = key === 'inside' ? others.filter((one) => !isBehind(one, value)) : others;
    yield [`${key} without ${JSON.stringify(value)}`, [...rest, ...stand]];
    const [first, last] = String(value).split('-').map(Number);
    if (key !== 'media-ports' || last === undefined) continue;
    for (const shorter of [`${first! + 1}-${last}`, `${first}-${last - 1}`]) {
      yield [`media-ports ${shorter}`, [...others, { ...line, value: shorter }]];
    }
  }
}

/** A mapping of a host that is not inside is a fault. */
function isBehind({ key, value }: Line, host: Line['value']): boolean {
  return (
    key === 'nat' && typeof value === 'object' && (value.hosts as readonly string[]).includes(String(host))
  );
}

describe('pinholed learn', () => {
  const learned = CAPTURES.map((capture) => ({
    ...capture,
    proposal: learnFromCaptures([capture.file], capture.inside, false),
  }));

  it('learns of most captures', () => {
    const some = learned.filter(({ proposal }) => proposal.settings !== null);
    assert.ok(some.length > learned.length / 2, `${some.length} of ${learned.length}`);
  });

  for (const { file, proposal } of learned) {
    it(`${basename(file)}: with it the calls have what they have with everything allowed`, () => {
      assert.deepEqual(proposal.comparison?.losing.map(({ lines }) => lines) ?? [], []);
    });

    it(`${basename(file)}: with less than any line says a call loses`, () => {
      for (const [what, lines] of narrower(proposal.lines)) {
        const { losing } = compare(
          outcomesIn(proposal.after!),
          outcomesIn(replayed([file], loaded(lines), false)),
        );
        assert.notEqual(losing.length, 0, what);
      }
    });

    it(`${basename(file)}: is a configuration whose every line has a reason`, () => {
      if (proposal.settings === null) return;
      const text = proposalText(proposal, aroundOf(proposal), file);
      const found = loadConfig(text, 'learned');
      assert.deepEqual('settings' in found && found.settings, proposal.settings);
      const lines = text.split('\n');
      for (const [index, line] of lines.entries()) {
        const isSetting = /^ {2}- |^[a-z-]+: /.test(line);
        if (isSetting) assert.match(lines[index - 1]!, /^ *# .*\S/, line);
      }
    });
  }

  it('knows who is who', () => {
    const { lines } = learnFromCaptures([own('direct-media-gateway')], inside, false);
    assert.deepEqual(
      lines.map(({ key, value }) => [key, value]),
      [
        ['inside', '198.51.100.20'],
        ['media-hosts', '198.51.100.30'],
        ['peers', '192.0.2.10'],
        ['media-ports', '42000-42001'],
      ],
    );
  });

  it('gives no line to a host that nobody could reach, nor to who got no answer', () => {
    const unreachable = learnFromCaptures([own('one-way-audio-private-address')], inside, false);
    assert.deepEqual(unreachable.lines, []);
    const [refused, ...others] = aroundOf(unreachable).refused;
    assert.deepEqual([refused?.reason, others], ['foreign-address', []]);
    assert.match(refused!.text, /10\.20\.0\.20:40000-40001, announced by 198\.51\.100\.20/);
    const { lines } = learnFromCaptures(
      [own('basic-call'), own('attack-answer-without-invite')],
      inside,
      false,
    );
    assert.deepEqual(valuesOf(lines, 'peers'), ['192.0.2.10']);
    const busy = learnFromCaptures([own('busy')], inside, false);
    assert.deepEqual(busy.lines, []);
  });

  it('says which static rule it stands for, and how much of it was ever open', () => {
    const proposal = learnFromCaptures([own('trunk-many-calls')], inside, false);
    const { replaces } = aroundOf(proposal);
    assert.deepEqual(
      [replaces?.hosts, replaces?.ports, replaces?.portsOpen, replaces?.mostOpen],
      [['198.51.100.20'], ['41000-41039'], 40, 40],
    );
  });

  it('has no words of the network in it that are more than a comment', () => {
    const evil = 'x\r\ninside: [0.0.0.0/0]\u2028peers: []\u0085web: 127.0.0.1:1';
    const lines: Line[] = [{ key: 'inside', value: '192.0.2.1', why: evil }];
    const found = loadConfig(annotated([evil], lines, [evil]), 'learned');
    assert.ok('settings' in found);
    assert.deepEqual(
      found.settings.inside.map(({ text }) => text),
      ['192.0.2.1/32'],
    );
    assert.equal(found.settings.web, null);
  });
});

describe('ports', () => {
  it('are of one range while they are near each other', () => {
    assert.deepEqual(rangesOf([10_000, 10_001, 10_900, 20_000]), [
      { range: [10_000, 10_900], used: 3 },
      { range: [20_000, 20_000], used: 1 },
    ]);
  });

  it('of signalling are left out of a range', () => {
    assert.deepEqual(without([5000, 6000], [5060, 6000, 7000]), [
      [5000, 5059],
      [5061, 5999],
    ]);
    assert.deepEqual(without([5060, 5060], [5060]), []);
  });

  it('of signalling are few: the usual one, and then those that most messages have', () => {
    const ends = [
      [40_000, 5060],
      [40_001, 5080],
      [40_002, 5080],
      [5080, 40_003],
    ] as const;
    assert.deepEqual(signallingPorts(ends, 5060), [5060, 5080]);
    assert.deepEqual(signallingPorts([[5080, 5080]], 5060), [5080]);
  });
});

describe('more hosts than a list may have', () => {
  it('are learned as the narrowest networks that are few enough', () => {
    const [call] = learnFromCaptures([own('basic-call')], inside, false).calls;
    const many = Array.from({ length: 600 }, (_, index) => {
      const [owner, peer] = [`10.1.${index >> 8}.${index & 255}`, `2001:db8:${index.toString(16)}::1`];
      return {
        ...call!,
        needed: call!.needed.map((stream) => ({ ...stream, owner, peer, host: owner, announced: owner })),
      };
    });
    const lines = linesFor(many);
    const { inside: hosts, peers } = loaded(lines);
    assert.deepEqual(valuesOf(lines, 'inside').slice(0, 2), ['10.1.0.0/28', '10.1.0.16/28']);
    assert.equal(hosts.length, 38);
    assert.match(
      lines[0]!.why,
      / 16 addresses of it: single ones would be more than the 256 that a list may have\.$/,
    );
    for (const { needed } of many) {
      for (const { owner, peer } of needed) {
        assert.ok(hosts.some((network) => networkHas(network, owner)));
        assert.ok(peers.some(({ networks }) => networks.some((network) => networkHas(network, peer))));
      }
    }
  });
});

describe('what a line is learned from', () => {
  it('is needed by a call, or there is none', () => {
    assert.deepEqual(linesFor([]), []);
    const { calls }: Pick<Proposal, 'calls'> = learnFromCaptures([own('cancel')], inside, false);
    assert.deepEqual(linesFor(calls), []);
  });
});
