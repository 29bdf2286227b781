import assert from 'node:assert/strict';
import type { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { defaults } from '../../src/config/load.ts';
import { filled, HEADERS, message, UNITS } from '../sip/repeating.ts';
import { assertLinear, type Work } from '../work.ts';

const { createInspector } = await import('../../src/inspector.ts');
const { createHistory } = await import('../../src/history/history.ts');
const { logLines } = await import('../../src/daemon/log/lines.ts');
const { oneLine } = await import('../../src/daemon/log/log.ts');
const { printableJson } = await import('../../src/printable.ts');
const { replayJson } = await import('../../src/report/replay/json.ts');
const { replayText } = await import('../../src/report/replay/text.ts');
const { replayPictures } = await import('../../src/report/page/pictures.ts');
const { terminalStyle } = await import('../../src/report/style.ts');
const { film } = await import('../replay/film.ts');
const { host, sdp } = await import('../scene.ts');
const { udpPacket } = await import('../packets.ts');

const caller = host('203.0.113.10');
const phone = host('198.51.100.20');
const style = terminalStyle({}, {});

/** Steps for each byte of a packet, until it is decided and told of everywhere; and once for each packet. */
const MOST = 150;
const SIZE = 4096;

/** One class of characters: as many steps as there are characters. */
const ONE_CLASS = /^\/\[(?:[^\]\\]|\\.)+\]\/g?u?$/;
/** Characters of the longest text that an expression of another form may be given: work on it is bounded. */
const SHORT = 1100;

/** What the daemon does with a packet: decision, history, log. */
function decide(bytes: Buffer): void {
  const inspector = createInspector(() => ({ ...defaults(), inside: 'any' }));
  const { events } = inspector.inspect(bytes, 1000);
  const history = createHistory({
    endedCalls: () => 10,
    callsUnderWay: () => 10,
    trafficOf: () => undefined,
  });
  history.take([{ packet: 1, at: 1000, deadline: false, happenings: events }]);
  for (const { words } of logLines(events, {
    callId: 'plain',
    parties: 'plain',
    trafficOf: () => undefined,
    observes: false,
  }))
    oneLine(words().text);
  inspector.tick(1_000_000);
}

/** The same packet twice, then some media, in every form that a report has. */
function report(payload: Buffer): void {
  const found = film()
    .send(0, caller, phone, payload)
    .send(0.1, phone, caller, payload)
    .talk(1, caller, host('198.51.100.20', 40000), 3)
    .run();
  for (const text of replayText(found, 'all', style)) assert.ok(text.length >= 0);
  for (const json of replayJson(found)) printableJson(json);
  const { page, pictures } = replayPictures(found);
  printableJson(JSON.stringify([page, ...pictures()]));
}

function walk(name: string, build: (size: number) => Buffer): void {
  const decided = assertLinear(`${name}, decided`, SIZE, MOST, (size) => {
    const bytes = udpPacket(caller, phone, build(size));
    return () => decide(bytes);
  });
  const reported = assertLinear(`${name}, reported`, SIZE, MOST, (size) => {
    const bytes = build(size);
    return () => report(bytes);
  });
  for (const [expression, longest] of [...expressionsOf(decided), ...expressionsOf(reported)]) {
    assert.ok(
      ONE_CLASS.test(expression) || longest <= SHORT,
      `${name}: ${expression} on ${longest} characters`,
    );
  }
}

function expressionsOf({ expressions }: Work): readonly (readonly [string, number])[] {
  return [...expressions];
}

const SOME = UNITS.filter((_, index) => index % 4 === 0);
const DESCRIPTION = sdp('198.51.100.20', [40000]);

describe('a packet whose text repeats something', () => {
  for (const header of HEADERS) {
    it(`in ${header}, once or twice, costs what its bytes cost, in decision, log and reports`, () => {
      for (const unit of SOME) {
        walk(`${header}: ${JSON.stringify(unit)}`, (size) =>
          message({
            headers: { [header]: filled(unit, size) },
            more: ['Content-Type: application/sdp'],
            body: DESCRIPTION,
          }),
        );
        walk(`${header} twice: ${JSON.stringify(unit)}`, (size) =>
          message({
            more: [`${header}: ${filled(unit, size / 2)}`, `${header}: ${filled(unit, size / 2)}x`],
          }),
        );
      }
    });
  }

  it('in its start-line or its description', () => {
    for (const unit of SOME) {
      walk(`URI of ${JSON.stringify(unit)}`, (size) =>
        message({ start: `INVITE ${filled(unit, size)} SIP/2.0` }),
      );
      walk(`method of ${JSON.stringify(unit)}`, (size) =>
        message({ start: `${filled(unit, size)} sip:b SIP/2.0` }),
      );
      walk(`reason of ${JSON.stringify(unit)}`, (size) =>
        message({ start: `SIP/2.0 200 ${filled(unit, size)}` }),
      );
      for (const line of ['o=', 'm=', 'a=mid:', 'a=candidate:']) {
        walk(`${line} of ${JSON.stringify(unit)}`, (size) =>
          message({
            more: ['Content-Type: application/sdp'],
            body: `${DESCRIPTION}${line}${filled(unit, size)}\r\n`,
          }),
        );
      }
    }
  });
});
