import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { keepHistory } from '../../src/commands/run/services.ts';
import { defaults } from '../../src/config/load.ts';
import type { BlockedFlow } from '../../src/control/blocked.ts';
import type { InterfaceAddresses } from '../../src/policy/external.ts';
import { blockedText, withBlocked } from '../../src/report/live/blocked.ts';
import { explainBlocked } from '../../src/report/live/why-blocked.ts';
import type { CallPicture } from '../../src/report/page/model.ts';
import { IN_RECORDING } from '../../src/report/replay/explain/seen.ts';
import { terminalStyle } from '../../src/report/style.ts';
import { udpPacket } from '../packets.ts';
import { type Host, host, networks, sdp, sip } from '../scene.ts';
import { startInProcess } from './in-process.ts';

const phone = host('10.0.0.5');
const provider = host('198.51.100.1');
const settings = { ...defaults(), inside: networks('10.0.0.0/8') };
/** Version 2, payload type 0 (RFC 3550 5.1), and 20 ms of silence. */
const rtp = (sequence: number) =>
  Buffer.concat([
    Buffer.from([0x80, 0, 0, sequence, 0, 0, 0, sequence * 160, 1, 2, 3, 4]),
    Buffer.alloc(160, 0xff),
  ]);

/** A call that is up, and media from `from` to `to` after it. */
function dropped(from: Host, to: Host, offer: string) {
  const inProcess = startInProcess({ inside: settings.inside });
  const history = keepHistory(inProcess.daemon);
  inProcess.send(phone, provider, sip('INVITE', { body: offer }));
  inProcess.send(provider, phone, sip('200 INVITE', { to: 'b', body: sdp(provider.address, [6000]) }));
  inProcess.send(phone, provider, sip('ACK', { to: 'b' }));
  inProcess.wait(1000);
  const at = inProcess.daemon.clock();
  const [legId] = history.find('call-1@example.com');
  const flow: BlockedFlow = {
    ...{ source: from.address, sourcePort: from.port, destination: to.address, destinationPort: to.port },
    ...{ firstAt: at, lastAt: at + 60, packets: 30, legIds: [legId!] },
    samples: [1, 2, 3, 4].map((count) => ({ at: at + count * 20, bytes: udpPacket(from, to, rtp(count)) })),
  };
  const messages = [...inProcess.daemon.recording!.messages()];
  const { report } = history.get(legId!)!;
  return { flow, report, messages };
}

describe('media that the ruleset dropped near a call', () => {
  const offer = sdp(phone.address, [4000]);
  const stranger = host('203.0.113.21', 6000);

  it('comes from where no description names: with the line that would let it pass', () => {
    const { flow, report, messages } = dropped(stranger, { ...phone, port: 4000 }, offer);
    const one = explainBlocked(flow, report, messages, settings, {}, 1_700_000_000_000);
    assert.equal(one.reason, 'wrong-source');
    assert.match(one.text, /^It came from 203\.0\.113\.21, which no SDP names/);
    assert.equal(one.line, 'media-source: any');
    const text = blockedText([one], one.lastAt + 2, terminalStyle(process.stdout, { NO_COLOR: '1' }));
    assert.match(text, /^203\.0\.113\.21:6000 > 10\.0\.0\.5:4000, 30 packets logged, the last 2\.0s ago$/m);
    assert.match(text, /^ {2}Would pass with: media-source: any$/m);
    const picture = { verdict: { level: 'silent', headline: '', causes: [] } } as unknown as CallPicture;
    assert.match(
      withBlocked(picture, [one]).verdict.causes[0]!.text,
      /203\.0\.113\.21:6000 sends to 10\.0\.0\.5:4000/,
    );
    assert.equal(withBlocked(picture, []), picture);
  });

  it('goes to where nothing was announced: no setting lets it pass', () => {
    const { flow, report, messages } = dropped({ ...provider, port: 6000 }, { ...phone, port: 4444 }, offer);
    const one = explainBlocked(flow, report, messages, settings, {}, 0);
    assert.deepEqual([one.reason, one.line], ['other-port', null]);
  });

  it('goes to a host that another named in its place: the line names that host', () => {
    const relay = host('10.0.0.9', 4000);
    const { flow, report, messages } = dropped(
      { ...provider, port: 6000 },
      relay,
      sdp(relay.address, [4000]),
    );
    const one = explainBlocked(flow, report, messages, settings, {}, 0);
    assert.deepEqual([one.reason, one.line], ['refused', 'media-hosts: [10.0.0.9]']);
  });

  it('is explained with the address that an interface has, where that stands for the host', () => {
    const { flow, report, messages } = dropped(
      stranger,
      { ...phone, port: 4000 },
      sdp('203.0.113.9', [4000]),
    );
    const external = { interface: 'wan0' };
    const nat = [{ external, hosts: networks('10.0.0.5/32'), translation: null, arrivesAt: null }];
    const told = (addresses: InterfaceAddresses) => {
      const one = explainBlocked(flow, report, messages, { ...settings, nat }, addresses, 0);
      return [one.reason, one.line];
    };
    assert.deepEqual(told({ wan0: ['203.0.113.9'] }), ['wrong-source', 'media-source: any']);
    assert.notEqual(told({})[0], 'wrong-source');
  });

  it('lacks nothing of a capture, as there is none', () => {
    const told = (keep: (text: string) => boolean, from = stranger, to = { ...phone, port: 4000 }) => {
      const { flow, report, messages } = dropped(from, to, offer);
      const kept = messages.filter(({ bytes }) => keep(bytes()!.toString()));
      const { reason, text, advice } = explainBlocked(flow, report, kept, settings, {}, 0);
      assert.doesNotMatch(`${text} ${advice}`, /captur|--/i);
      return `${reason}: ${text} ${advice}`;
    };
    assert.match(
      told((text) => text.startsWith('ACK')),
      /^never-announced: No session description in the recording names 10\.0\.0\.5 or 203\.0\.113\.21: .* was the daemon started in the middle of the call\?$/,
    );
    assert.match(
      told(() => true, { ...provider, port: 6000 }, { ...phone, port: 4444 }),
      /or the SDP for it is not in the recording\.$/,
    );
  });

  it('has no other words for where it was looked for than those that name it', () => {
    assert.doesNotMatch(Object.values(IN_RECORDING).map(String).join(' '), /captur|--/i);
    const room = new URL('../../src/report/replay/explain/', import.meta.url);
    for (const file of readdirSync(room)) {
      if (file === 'seen.ts') continue;
      assert.doesNotMatch(readFileSync(new URL(file, room), 'utf8'), /captur|--[a-z]/i, file);
    }
  });

  it('is not explained without the messages of the call', () => {
    const { flow, report } = dropped(stranger, { ...phone, port: 4000 }, offer);
    const one = explainBlocked(flow, report, [], settings, {}, 0);
    assert.deepEqual([one.reason, one.line], ['unknown', null]);
  });
});
