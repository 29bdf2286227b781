import type { TransportAddress } from '../address/address.ts';
import { formatTransportAddress } from '../config/kinds.ts';
import { type Got, type TestHost, WITHIN } from './host.ts';
import type { Advice } from './machine.ts';
import type { Plan } from './plan.ts';
import type { Steps } from './steps.ts';

/** One stream of the test call. */
export interface TestStream {
  /** Of the host inside; what it announced for that; and the other party's. */
  readonly host: TransportAddress;
  readonly announced: TransportAddress;
  readonly peer: TransportAddress;
}

const PEER_PORTS = [40_000, 40_002] as const;

/** Two: what a packet filter lets through first in one direction opens the other one, too. */
export function streamsOf({ host, announced, peer, mediaPorts }: Plan): readonly [TestStream, TestStream] {
  const stream = (index: 0 | 1): TestStream => ({
    host: { address: host, port: mediaPorts[index] },
    announced: { address: announced, port: mediaPorts[index] },
    peer: { address: peer, port: PEER_PORTS[index] },
  });
  return [stream(0), stream(1)];
}

/** From where a third party sends. */
export function strangerOf({ stranger }: Plan): TransportAddress {
  return { address: stranger, port: PEER_PORTS[0] };
}

/**
 * Media of a call that is up: on one stream the other party sends first and the host answers, on the other one the host
 * does. Each of the two has no packet of its flow before it that could let it pass.
 */
export async function testMedia(
  plan: Plan,
  [inside, outside]: readonly [TestHost, TestHost],
  advice: Advice,
  { passed, stopped }: Steps,
): Promise<void> {
  const [inward, outward] = streamsOf(plan);

  async function comesIn({ peer, announced }: TestStream, text: string): Promise<boolean> {
    outside.send(peer, announced, text);
    return (await inside.gets(text, WITHIN)) !== null;
  }

  function goesOut({ host, peer }: TestStream, text: string): Promise<Got | null> {
    inside.send(host, peer, text);
    return outside.gets(text, WITHIN);
  }

  /** What came out has to be of the address that was announced. */
  function took(name: 'mediaBack' | 'mediaOut', { host, announced, peer }: TestStream, { from }: Got): void {
    if (from.address !== announced.address) {
      stopped(
        name,
        `it is seen as ${from.address}, not as ${announced.address} that was announced`,
        'the same address has to stand for signalling and media',
      );
    } else
      passed(
        name,
        `from ${formatTransportAddress(host)}, seen as ${formatTransportAddress(from)}, to ${formatTransportAddress(peer)}`,
      );
  }

  /** Returns whether what answers it passes. */
  async function theOtherPartyFirst(): Promise<boolean> {
    const { host, announced, peer } = inward;
    outside.send(strangerOf(plan), announced, 'media of a stranger');
    const came = await comesIn(inward, 'media in');
    if (came) passed('mediaIn', `from ${formatTransportAddress(peer)} to ${formatTransportAddress(host)}`);
    else {
      stopped(
        'mediaIn',
        `from ${formatTransportAddress(peer)} to ${formatTransportAddress(announced)}: the pinhole is open, and no rule of yours lets through what matches it`,
        advice.media,
      );
    }
    // Both take one way, and this one was the first.
    if (inside.has('media of a stranger')) {
      stopped(
        'stranger',
        `media of ${plan.stranger}, which nobody announced, came through to ${formatTransportAddress(host)} too`,
        'a rule of yours lets it in: pinholes make one for media unneeded',
      );
    } else passed('stranger', `media of ${plan.stranger}, which nobody announced, is blocked`);
    if (!came) return false;
    const out = await goesOut(inward, 'answer out');
    if (out !== null) took('mediaBack', inward, out);
    else {
      stopped(
        'mediaBack',
        `from ${formatTransportAddress(host)} to ${formatTransportAddress(peer)}: dropped, though it goes back where media came from`,
        advice.answers,
      );
    }
    return out !== null;
  }

  async function theHostFirst(mayAnswer: boolean): Promise<void> {
    const { host, announced, peer } = outward;
    const out = await goesOut(outward, 'media out');
    if (out === null) {
      stopped(
        'mediaOut',
        `from ${formatTransportAddress(host)} to ${formatTransportAddress(peer)}: dropped. ${
          mayAnswer
            ? `${host.address} may answer media and not send first: until the other party sends some, it is not heard`
            : `${host.address} would hear and not be heard`
        }`,
        advice.out,
      );
      return;
    }
    took('mediaOut', outward, out);
    if (await comesIn(outward, 'answer in')) {
      passed('mediaReturn', `from ${formatTransportAddress(peer)} to ${formatTransportAddress(host)}`);
    } else {
      stopped(
        'mediaReturn',
        `from ${formatTransportAddress(peer)} to ${formatTransportAddress(announced)}: dropped, though it goes back where media came from`,
        `${advice.answers}; ${advice.media}`,
      );
    }
  }

  await theHostFirst(await theOtherPartyFirst());
}
