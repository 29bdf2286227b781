import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sharedDir, withoutShared } from '../shared.ts';
import { compare, type Difference, isOwnWord } from './compare.ts';
import { EXCEPTIONS } from './exceptions.ts';
import { type Truth, type TruthFlow, truths } from './manifest.ts';
import { replayFiles } from './replayed.ts';

const pathOf = (capture: string) => `${sharedDir}/captures/pcaps/${capture}`;

describe('media flows as tshark knows them', { skip: withoutShared }, () => {
  const all = truths();

  for (const [capture, truth] of all) {
    const exceptions = EXCEPTIONS.filter((one) => one.capture === capture);

    it(`${capture}: what was announced passes from its first packet, nothing else does`, () => {
      const found = compare(truth, replayFiles([pathOf(capture)]));
      const shown = ({ flow, what }: { flow: string; what: Difference['what'] }) => `${flow} ${what}`;
      assert.deepEqual(found.map(shown).sort(), exceptions.map(shown).sort());
      for (const { flow, report } of found) {
        const expected = exceptions.find((one) => one.flow === flow)!;
        assert.equal(report?.blocks[0]?.reason ?? null, expected.reason, flow);
      }
    });

    it(`${capture}: every packet that tshark counts is counted`, () => {
      const report = replayFiles([pathOf(capture)]);
      for (const flow of truth.flows) {
        const mine = report.media.find(
          ({ source, sourcePort, destination, destinationPort }) =>
            source === flow.src &&
            sourcePort === flow.sport &&
            destination === flow.dst &&
            destinationPort === flow.dport,
        );
        if (mine === undefined) continue;
        // By its heuristic tshark counts those packets of a flow alone that look like media.
        const complete = flow.recognised_by === 'sdp' && capture !== FUZZED;
        if (complete) assert.equal(mine.packets, flow.packets, `${flow.src}:${flow.sport}`);
        else assert.ok(mine.packets >= flow.packets, `${flow.src}:${flow.sport}`);
        assert.equal(mine.passed + mine.blocked, mine.packets);
        assert.equal(mine.first.frame <= flow.first_frame, true);
      }
    });
  }

  it('has a reason in tshark for each exception', () => {
    for (const { capture, flow, why, what, reason } of EXCEPTIONS) {
      const truth = all.get(capture);
      assert.ok(truth, capture);
      const one = truth.flows.find((flowOf) => keyOf(flowOf) === flow);
      assert.ok(one, `${capture} ${flow}`);
      if (reason === 'refused') assert.equal(isOwnWord(one, truth), false, why);
      if (what === 'passed')
        assert.ok(answersOwnWord(one, truth), `${flow}: a flow of the other direction is announced`);
      if (reason === 'same-host') assert.equal(one.src, one.dst);
      if (reason === 'wrong-source' || reason === 'early-media') {
        const before = truth.announced.filter(({ frame }) => frame < one.first_frame);
        const told = before.find(
          ({ receiver, sender, address }) =>
            receiver === one.dst && (sender === one.src || address === one.src),
        );
        const agreed = before.some(
          ({ frame, sender }) => sender === one.dst && frame > (told?.frame ?? Infinity),
        );
        assert.equal(
          agreed,
          false,
          `${flow}: its destination was not told of its source, or had not answered yet`,
        );
      }
    }
  });

  for (const { capture, flow, remedy } of EXCEPTIONS) {
    if (remedy === null) continue;
    it(`${capture}: ${flow} passes with ${remedy.text}`, () => {
      const report = replayFiles([pathOf(capture)], remedy.settings);
      const found = compare(all.get(capture)!, report).find((one) => one.flow === flow);
      assert.equal(found?.report?.blocked ?? 0, 0);
    });
  }
});

/** Its addresses and lengths are damaged at random. */
const FUZZED = 'ntop__fuzz-2006-06-26-2594.pcap';

/** Whether the flow is the way back of one whose destination is announced. */
function answersOwnWord(flow: TruthFlow, truth: Truth): boolean {
  const back = truth.flows.find(({ src, sport, dst, dport }) => {
    return src === flow.dst && sport === flow.dport && dst === flow.src && dport === flow.sport;
  });
  return back !== undefined && isOwnWord(back, truth) && back.first_frame < flow.first_frame;
}

function keyOf({ src, sport, dst, dport }: TruthFlow): string {
  return `${src}:${sport} > ${dst}:${dport}`;
}
