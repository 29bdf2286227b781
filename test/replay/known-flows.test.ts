import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { networkOf } from '../../src/commands/captures.ts';
import { defaults } from '../../src/config/load.ts';
import type { InspectorSettings } from '../../src/inspector.ts';
import { type FrameInPlace, inPlace, openCapture, openCaptures } from '../../src/intercept/capture.ts';
import { readPacket } from '../../src/packet/ip.ts';
import { findPacket } from '../../src/packet/link.ts';
import { readTunnel } from '../../src/packet/tunnel.ts';
import { replayJson } from '../../src/report/replay/json.ts';
import { createReplay } from '../../src/report/replay/replay.ts';
import { udpPacket } from '../packets.ts';
import { host, sdp } from '../scene.ts';
import { sharedDir, withoutShared } from '../shared.ts';
import { type Film, film, rtp } from './film.ts';

const own = fileURLToPath(new URL('../../pcaps', import.meta.url));
const alice = host('192.0.2.10');
const bob = host('198.51.100.20');

/** The report; with tunnels every frame is read the whole way, as there may be one in it. */
function reportOf(
  play: (pass: (frame: FrameInPlace) => void) => void,
  tunnels: boolean,
  settings: Partial<InspectorSettings>,
): string {
  const { pass, finish } = createReplay({
    files: ['film'],
    settings: { ...defaults(), inside: 'any', ...settings },
    tunnels,
    sipPorts: null,
    window: { from: null, to: null },
  });
  play(pass);
  return [...replayJson(finish([]))].join('');
}

function assertSame(
  what: string,
  play: (pass: (frame: FrameInPlace) => void) => void,
  settings: Partial<InspectorSettings> = {},
): string {
  const whole = reportOf(play, true, settings);
  assert.equal(reportOf(play, false, settings), whole, what);
  return whole;
}

function everyFrame(path: string): (pass: (frame: FrameInPlace) => void) => void {
  return (pass) => {
    const captures = openCaptures([path]);
    for (let one = captures.next(); one !== null; one = captures.next()) pass(one);
  };
}

/** Where there are tunnels, looking into them makes another report. */
function hasTunnel(path: string): boolean {
  for (const { linkType, bytes } of openCapture(path)) {
    const ip = findPacket(linkType, bytes);
    const packet = typeof ip === 'string' ? ip : readPacket(ip);
    if (typeof packet !== 'string' && readTunnel(packet) !== null) return true;
  }
  return false;
}

function played(one: Film): (pass: (frame: FrameInPlace) => void) => void {
  return (pass) => {
    for (const frame of one.frames()) pass(inPlace(frame));
  };
}

function media(report: string): readonly {
  readonly packets: number;
  readonly copies: number;
  readonly passed: number;
  readonly blocked: number;
  readonly kinds: object;
  readonly blocks: readonly { readonly reason: string }[];
}[] {
  return JSON.parse(report).media;
}

function called(one: Film): Film {
  return one
    .say(0, alice, bob, 'INVITE', { body: sdp('192.0.2.10', [4000]) })
    .say(0.5, bob, alice, '200 INVITE', { to: 'b', body: sdp('198.51.100.20', [6000]) })
    .say(0.6, alice, bob, 'ACK', { to: 'b' });
}

const [toAlice, toBob] = [host('192.0.2.10', 4000), host('198.51.100.20', 6000)];

describe('RTP of a flow that is known is taken for what it is when it is read the whole way', () => {
  it('in the captures of this repository', () => {
    for (const name of readdirSync(own).filter((one) => one.endsWith('.pcap'))) {
      assertSame(name, everyFrame(join(own, name)));
    }
  });

  it('in captures that others made', { skip: withoutShared }, () => {
    const directory = join(sharedDir, 'captures/pcaps');
    const inside = ['10.0.0.0/8', '192.168.0.0/16'].map(networkOf);
    const paths = readdirSync(directory).map((name) => join(directory, name));
    const plain = paths.filter((path) => !hasTunnel(path));
    assert.ok(plain.length > 0.7 * paths.length);
    for (const path of plain) assertSame(path, everyFrame(path), { inside });
  });

  it('where its packets come twice, late and again', () => {
    const one = called(film());
    for (let number = 0; number < 50; number++) {
      const packet = udpPacket(toBob, toAlice, rtp(number === 20 ? 18 : number));
      packet.writeUInt16BE(number + 1, 4);
      one.packet(1 + number * 0.02, packet);
      if (number % 5 === 0) one.packet(1 + number * 0.02 + 0.001, packet);
    }
    const [flow] = media(assertSame('copies', played(one)));
    assert.deepEqual([flow!.packets, flow!.copies], [50, 10]);
  });

  it('where its call begins, moves and ends while it goes on', () => {
    const one = called(film().talk(-1, toBob, toAlice, 20))
      .talk(0.7, toBob, toAlice, 40)
      .talk(0.71, toAlice, toBob, 40)
      .say(1.6, alice, bob, 'INVITE', { to: 'b', cseq: 2, body: sdp('192.0.2.10', [4100]) })
      .say(1.7, bob, alice, '200 INVITE', { to: 'b', cseq: 2, body: sdp('198.51.100.20', [6000]) })
      .talk(1.8, toBob, toAlice, 500)
      .talk(12, toBob, host('192.0.2.10', 4100), 20)
      .say(13, alice, bob, 'BYE', { to: 'b', cseq: 3 })
      .say(13.1, bob, alice, '200 BYE', { to: 'b', cseq: 3 })
      .talk(13.2, toBob, host('192.0.2.10', 4100), 3000);
    const flows = media(assertSame('a call that moves', played(one)));
    const reasons = flows.flatMap(({ blocks }) => blocks.map(({ reason }) => reason));
    assert.ok(flows.every(({ passed }) => passed > 0));
    assert.ok(reasons.includes('announced-later') && reasons.includes('closed'), reasons.join());
  });

  it('where it pauses until its state is gone, and another host comes in its place', () => {
    const stranger = host('203.0.113.9', 6000);
    const one = called(film())
      .talk(1, toBob, toAlice, 10)
      .talk(100, toBob, toAlice, 10)
      .talk(101, stranger, toAlice, 20)
      .say(102, alice, bob, 'INVITE', { to: 'b', cseq: 2, body: sdp('192.0.2.10', [4000]) })
      .say(102.1, bob, alice, '200 INVITE', { to: 'b', cseq: 2, body: sdp('203.0.113.9', [6000]) })
      .talk(103, stranger, toAlice, 20);
    const flows = media(assertSame('a pause', played(one)));
    assert.deepEqual(
      flows.map(({ passed, blocked }) => [passed, blocked]),
      [
        [20, 0],
        [20, 20],
      ],
    );
  });

  it('where it becomes a fax', () => {
    const fax = Buffer.from('00010601c000', 'hex');
    const one = called(film())
      .talk(1, toBob, toAlice, 20)
      .say(2, alice, bob, 'INVITE', {
        to: 'b',
        cseq: 2,
        body: sdp('192.0.2.10', [{ media: 'image', port: 4000, proto: 'udptl' }]),
      })
      .send(2.5, toBob, toAlice, fax)
      .talk(3, toBob, toAlice, 20);
    assertSame('a fax', played(one));
  });

  it('where an external address stands for its host', () => {
    const outside = host('203.0.113.2', 4000);
    const nat: InspectorSettings['nat'] = [
      {
        external: { address: '203.0.113.2' },
        hosts: [networkOf('192.0.2.10/32')],
        translation: null,
        arrivesAt: null,
      },
    ];
    const one = film()
      .say(0, alice, bob, 'INVITE', { body: sdp('203.0.113.2', [4000]) })
      .say(0.5, bob, alice, '200 INVITE', { to: 'b', body: sdp('198.51.100.20', [6000]) })
      .say(0.6, alice, bob, 'ACK', { to: 'b' })
      .talk(1, toBob, outside, 30)
      .talk(1.01, toBob, toAlice, 30)
      .talk(1.02, outside, toBob, 30);
    const flows = media(
      assertSame('an external address', played(one), { inside: [networkOf('192.0.2.0/24')], nat }),
    );
    assert.ok(flows.length === 3 && flows.every(({ passed }) => passed === 30));
  });
});
