import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keepHistory } from '../../src/commands/run/services.ts';
import { createAlarmBoard } from '../../src/control/alarms.ts';
import { createCallReader, createCallWriter } from '../../src/control/calls.ts';
import { metricsText } from '../../src/control/metrics.ts';
import { watchedEvents } from '../../src/control/watched.ts';
import { logLines } from '../../src/daemon/log/lines.ts';
import type { History } from '../../src/history/history.ts';
import type { Occasion } from '../../src/inspector/happening.ts';
import { explainCall } from '../../src/report/live/explain.ts';
import { livePicture } from '../../src/report/page/pictures.ts';
import { sdp, sip } from '../scene.ts';
import { alice, bob, type InProcess, startInProcess } from './in-process.ts';

const SECRET = 'w3EtrQ9KmZs';
const KEYS = [
  `crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${SECRET}`,
  'ice-ufrag:u',
  `ice-pwd:${SECRET}`,
  `key-mgmt:mikey ${SECRET}`,
];
const AUTHORIZATION = `Authorization: Digest username="a", response="${SECRET}"`;
const user = `<sip:alice:${SECRET}@example.com>`;
const plain = (callId: string) => sip('INVITE', { callId, body: described() });
const described = (session: readonly string[] = [`k=clear:${SECRET}`, ...KEYS.map((key) => `a=${key}`)]) =>
  sdp(alice.address, [{ port: 6000, attributes: KEYS }], session);

/** Messages that hold the secret in every place where SIP and SDP may have one, well formed and not. */
const MESSAGES: Readonly<Record<string, string>> = {
  'keys of the media': plain('keys'),
  'keys before v=': sip('INVITE', { callId: 'first', body: `a=${KEYS[0]}\r\n${described()}` }),
  'a key for v=': sip('INVITE', { callId: 'version', body: `k=clear:${SECRET}\r\n` }),
  'a line without =': sip('INVITE', { callId: 'no-equals', body: `a:${KEYS[0]}\r\n${described()}` }),
  'a port that is none, among keys': plain('port').replace('m=audio 6000', 'm=audio 66000'),
  'a digest': sip('INVITE', { callId: 'digest', headers: [AUTHORIZATION], body: described() }),
  'a digest on a line that ends in LF': plain('lf').replace('Contact:', `${AUTHORIZATION}\nContact:`),
  'a password of the caller': plain('caller').replace('<sip:alice@example.com>', user),
  'a password of the callee, folded': plain('folded').replace('To: <sip:bob', `To:\r\n <sip:bob:${SECRET}`),
  'passwords that conflict': plain('conflict').replace('To:', `From: ${user};tag=b\r\nTo:`),
  'a password and no tag': plain('no-tag').replace('<sip:alice@example.com>;tag=a', `"A: <" ${user}`),
  'a password in an open <': plain('open').replace('<sip:alice@example.com>', `<sip:a:${SECRET}@b`),
  'a password in the URI that is called': plain('uri').replace('sip:bob@', `sip:bob:${SECRET}@`),
  'a password in a URI with a blank': plain('blank').replace('sip:bob@', `sip:bob:${SECRET}@a `),
};

/** All that anybody gets to see of what happened, in words and as data. */
async function everything(
  run: InProcess & { readonly history: History },
  occasions: readonly Occasion[],
): Promise<string> {
  const { daemon, history } = run;
  const happenings = occasions.flatMap((one) => one.happenings);
  const lines = logLines(happenings, {
    callId: 'plain',
    parties: 'plain',
    observes: false,
    trafficOf: daemon.trafficOf,
  });
  const summaries = await createCallReader(daemon).all();
  const write = createCallWriter({ ...daemon, passedBefore: history.passedBefore }, 0, 0);
  const remembered = summaries.flatMap(({ leg }) => history.get(leg.legId) ?? []);
  const status = await daemon.ask({ type: 'status' });
  return JSON.stringify([
    lines,
    happenings,
    watchedEvents(occasions, [], (at) => at),
    summaries.map(write.call),
    remembered.map((call) => explainCall(call, 0)),
    remembered.map(({ report }) => livePicture(report, 0)),
    status,
    await metricsText({
      status,
      daemon,
      board: createAlarmBoard(),
      exemplars: null,
      blocked: { total: () => 0 },
    }),
    run.said,
  ]);
}

describe('credentials and keys', () => {
  for (const [name, message] of Object.entries(MESSAGES)) {
    it(`are told to nobody: ${name}`, async () => {
      assert.ok(message.includes(SECRET));
      const run = startInProcess();
      const history = keepHistory(run.daemon);
      const occasions: Occasion[] = [];
      run.daemon.subscribe((more) => void occasions.push(...more));
      run.send(alice, bob, message);
      run.wait(2000);
      const text = await everything({ ...run, history }, occasions);
      assert.ok(text.includes('inspector'));
      const at = text.indexOf(SECRET);
      assert.equal(at, -1, text.slice(Math.max(0, at - 200), at + 40));
    });
  }
});
