import assert from 'node:assert/strict';
import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { keepHistory } from '../../src/commands/run/services.ts';
import { recordedMessages } from '../../src/control/recording.ts';
import { writeNewFile } from '../../src/report/pcap/file.ts';
import { type CapturedMessage, captureOf } from '../../src/report/pcap/write.ts';
import { host, sdp, sip } from '../scene.ts';
import { tsharkFields, withoutTshark } from '../tshark.ts';
import { type InProcess, startInProcess } from './in-process.ts';
import { scratch } from './socket.ts';

const alice = host('192.0.2.1');
const bob = host('10.0.0.5');

function call({ send }: InProcess, callId: string): void {
  const secret = 'Authorization: Digest username="alice", response="00000000000000000000000000000000"';
  send(bob, alice, sip('INVITE', { callId, body: sdp(bob.address, [4000]), headers: [secret] }));
  send(alice, bob, sip('200 INVITE', { callId, to: 'b', body: sdp(alice.address, [6000]) }));
  send(bob, alice, sip('ACK', { callId, to: 'b' }));
}

function started() {
  const process = startInProcess();
  const history = keepHistory(process.daemon);
  async function recorded(name: string, daemon: Pick<InProcess['daemon'], 'recording'> = process.daemon) {
    const parts = [];
    for await (const { messages } of recordedMessages(name, daemon, history, 1_700_000_000_000)) {
      parts.push(...messages);
    }
    return parts;
  }
  return { ...process, history, recorded, process };
}

type Recorded = Awaited<ReturnType<ReturnType<typeof started>['recorded']>>;

const captured = (messages: Recorded, transport: 'udp' | 'tcp' = 'udp'): CapturedMessage[] =>
  messages.map(({ at, src, srcPort, dst, dstPort, bytes }) => ({
    ...{ at: at * 1000, transport, bytes: Buffer.from(bytes, 'base64') },
    ...{ source: { address: src, port: srcPort }, destination: { address: dst, port: dstPort } },
  }));

describe('the recording of a call', () => {
  it('has its messages and no other, by Call-ID and by the name of its leg, up and ended', async () => {
    const { process, history, recorded, send } = started();
    call(process, 'one@pbx');
    call(process, 'two@pbx');
    send(bob, alice, sip('OPTIONS', { callId: 'beside@pbx' }));
    process.wait(1000);
    const [legId] = history.find('one@pbx');
    for (const name of ['one@pbx', legId!, legId!.slice(0, 12)]) {
      const messages = await recorded(name);
      assert.deepEqual(
        messages.map(({ callId }) => callId),
        ['one@pbx', 'one@pbx', 'one@pbx'],
        name,
      );
      assert.deepEqual(
        [messages[0]!.src, messages[0]!.dst, messages[1]!.src, messages[0]!.transport],
        [bob.address, alice.address, alice.address, 'udp'],
      );
      const text = Buffer.from(messages[0]!.bytes, 'base64').toString();
      assert.match(text, /Authorization: Digest response="removed"/);
    }
    send(bob, alice, sip('BYE', { callId: 'one@pbx', to: 'b', cseq: 2 }));
    send(alice, bob, sip('200 BYE', { callId: 'one@pbx', to: 'b', cseq: 2 }));
    process.wait(1000);
    assert.equal((await recorded('one@pbx')).length, 5);
  });

  it('is found by how a name begins, where that is one call alone', async () => {
    const { process, recorded } = started();
    call(process, 'alpha-one@pbx');
    call(process, 'alpha-two@pbx');
    process.wait(1000);
    assert.deepEqual(
      new Set((await recorded('alpha-o')).map(({ callId }) => callId)),
      new Set(['alpha-one@pbx']),
    );
    await assert.rejects(recorded('alpha-'), {
      code: 'ambiguous-call',
      message: /^2 calls have names or Call-IDs/,
    });
    await assert.rejects(recorded('alp'), { code: 'unknown-call' });
  });

  it('is refused where nothing is recorded, and of calls that are not there', async () => {
    const { recorded } = started();
    await assert.rejects(recorded('none@pbx'), { code: 'unknown-call', message: /daemon\.recording/ });
    await assert.rejects(recorded('none@pbx', { recording: null }), { code: 'not-recorded' });
  });

  it('has no messages beside calls', async () => {
    const { recorded, send, wait } = started();
    send(bob, alice, sip('REGISTER', { callId: 'reg@pbx' }));
    wait(1000);
    await assert.rejects(recorded('reg@pbx'), { code: 'unknown-call' });
  });

  for (const transport of ['udp', 'tcp'] as const) {
    it(`is a capture that tshark reads as SIP with SDP over ${transport}`, {
      skip: withoutTshark,
    }, async () => {
      const { process, recorded } = started();
      call(process, 'one@pbx');
      process.wait(1000);
      const directory = scratch();
      const file = join(directory.path, 'call.pcap');
      writeNewFile(file, captureOf(captured(await recorded('one@pbx'), transport)));
      const fields = ['sip.Method', 'sip.Status-Code', 'sdp.media.port', 'ip.src', 'frame.time_epoch'];
      const sums = ['ip.checksum.status', `${transport}.checksum.status`, '_ws.malformed'];
      const checking = ['-o', 'ip.check_checksum:TRUE', '-o', `${transport}.check_checksum:TRUE`];
      const lines = tsharkFields(file, [...fields, ...sums], checking);
      assert.deepEqual(
        lines.map((line) => line.slice(0, 4)),
        [
          ['INVITE', '', '4000', bob.address],
          ['', '200', '6000', alice.address],
          ['ACK', '', '', bob.address],
        ],
      );
      for (const line of lines) {
        assert.equal(Math.floor(Number(line[4])), 1_700_001_000, 'seconds since the epoch');
        assert.deepEqual(line.slice(5), ['1', '1', ''], 'checksums are good, nothing is malformed');
      }
      directory.remove();
    });
  }

  it('goes into a new file that nobody else may read, over no other and through no link', () => {
    const directory = scratch();
    const at = (name: string) => join(directory.path, name);
    writeNewFile(at('new'), Buffer.from('capture'));
    assert.equal(statSync(at('new')).mode & 0o777, 0o600);
    writeFileSync(at('old'), 'old');
    symlinkSync(at('old'), at('link'));
    symlinkSync(at('nothing'), at('dangling'));
    for (const name of ['old', 'link', 'dangling']) {
      assert.throws(() => writeNewFile(at(name), Buffer.from('capture')), { code: 'EEXIST' });
    }
    assert.equal(readFileSync(at('old'), 'utf8'), 'old');
    directory.remove();
  });
});
