import type { TransportAddress } from '../address/address.ts';
import type { ControlClient } from '../control/client.ts';
import type { StatusResult } from '../control/protocol.ts';
import type { RefusedResult } from '../report/live/refused.ts';
import type { TestHost } from './host.ts';
import type { Advice } from './machine.ts';
import { audioAt, messagesOf } from './messages.ts';
import type { Plan } from './plan.ts';

/** One thing that a call needs, and whether it was so. */
export interface Step {
  readonly step: string;
  readonly state: 'passed' | 'stopped' | 'not reached';
  readonly text: string;
  /** What to do about it; '' where there is nothing to do. */
  readonly advice: string;
}

/** ms in which a datagram crosses the copy. */
const WITHIN = 10_000;
const PEER_MEDIA_PORT = 40_000;

const STEPS = {
  invite: 'INVITE out',
  seen: 'address outside',
  answer: '200 in',
  pinhole: 'pinhole',
  mediaIn: 'media in',
  mediaOut: 'media out',
  stranger: 'stranger',
  bye: 'BYE, 200',
  closed: 'closed',
} as const;
type StepName = keyof typeof STEPS;

const HAND_OVER = '`pinholed rules` prints the rules that hand it over';

/** Plays a call from the host inside to the one outside, and media both ways, and tells what passed and where it stopped. */
export async function testCall(
  plan: Plan,
  inside: TestHost,
  outside: TestHost,
  daemon: Pick<ControlClient, 'askOnce'>,
  advice: Advice,
): Promise<Step[]> {
  const steps: Step[] = [];
  const passed = (name: StepName, text: string) => {
    steps.push({ step: STEPS[name], state: 'passed', text, advice: '' });
    return true;
  };
  const stopped = (name: StepName, text: string, advice: string) => {
    steps.push({ step: STEPS[name], state: 'stopped', text, advice });
    return false;
  };
  const { host, peer, stranger, announced, sipPort, mediaPort } = plan;
  const phone = { address: host, port: sipPort };
  const provider = { address: peer, port: sipPort };
  const phoneMedia = { address: host, port: mediaPort };
  const peerMedia = { address: peer, port: PEER_MEDIA_PORT };
  const strangerMedia = { address: stranger, port: PEER_MEDIA_PORT };
  const messages = messagesOf(`selftest${process.pid}`, phone, provider);
  const status = () => daemon.askOnce<StatusResult>({ request: 'status' });
  const read = async () => (await status()).messages.udp;

  /** A SIP message of one end at the other; or where it was lost. */
  async function crosses(
    name: StepName,
    [from, sender]: readonly [TestHost, TransportAddress],
    [to, receiver]: readonly [TestHost, TransportAddress],
    text: string,
  ) {
    const before = await read();
    from.send(sender, receiver, text);
    const got = await to.gets(text, WITHIN);
    const wasRead = (await read()) > before;
    const what = text.split(' ', 1)[0]!;
    if (got !== null && wasRead) return got;
    if (got !== null) stopped(name, `${what} arrived, but the daemon was not handed it`, HAND_OVER);
    else if (wasRead) {
      stopped(
        name,
        `${what} was read by the daemon and passed on, and a rule after it dropped it`,
        advice.sip,
      );
    } else {
      const both = `${HAND_OVER}; ${advice.sip}`;
      stopped(name, `${what} was dropped, or not forwarded, before the daemon was handed it`, both);
    }
    return null;
  }

  async function call(): Promise<boolean> {
    const invite = messages.invite(audioAt({ address: announced, port: mediaPort }));
    const came = await crosses('invite', [inside, phone], [outside, provider], invite);
    if (came === null) return false;
    passed(
      'invite',
      `from ${host} by ${plan.inside.name} to ${peer} by ${plan.outside.name}, read on its way`,
    );
    if (came.from.address !== announced) {
      return announced === host
        ? stopped(
            'seen',
            `outside, ${host} is seen as ${came.from.address}, and it announces itself: only who sends to where media comes from reaches it`,
            'have it announce its external address, and list that under `nat` (docs/nat.md)',
          )
        : stopped(
            'seen',
            `outside, ${host} is seen as ${came.from.address}, and \`nat\` says ${announced}`,
            'the address that a rule translates it to has to be the one under `nat` (docs/nat.md)',
          );
    }
    passed('seen', announced === host ? `${host}, its own` : `${announced}, which stands for ${host}`);
    const ok = messages.ok(audioAt(peerMedia));
    outside.send(provider, came.from, ok);
    const answered = await inside.gets(ok, WITHIN);
    if (answered === null) return stopped('answer', '200 OK did not come back', advice.sip);
    passed('answer', `from ${peer} to ${host}`);
    const ack = messages.ack();
    inside.send(phone, provider, ack);
    await outside.gets(ack, WITHIN);
    const { pinholes, pinholesMissing } = await status();
    if (pinholes > 0 && pinholesMissing === 0)
      return passed('pinhole', `${announced}:${mediaPort}, for ${peer}`);
    return stopped('pinhole', await whyNone(), 'what is refused has its reason in docs/refusals.md');
  }

  async function whyNone(): Promise<string> {
    const { refused } = await daemon.askOnce<{ readonly refused: readonly RefusedResult[] }>({
      request: 'refused',
    });
    const found = refused.find(({ reason }) => reason !== 'not-inside');
    return found === undefined ? 'none is open' : `none is open: ${found.reason} (${found.detail})`;
  }

  async function media(): Promise<void> {
    const target = { address: announced, port: mediaPort };
    outside.send(strangerMedia, target, 'media of a stranger');
    outside.send(peerMedia, target, 'media in');
    if ((await inside.gets('media in', WITHIN)) !== null) {
      passed('mediaIn', `from ${peer}:${PEER_MEDIA_PORT} to ${host}:${mediaPort}`);
    } else {
      stopped(
        'mediaIn',
        `from ${peer} to ${announced}:${mediaPort}: the pinhole is open, and no rule of yours lets through what matches it`,
        advice.media,
      );
    }
    // Both take one way, and this one was the first.
    if (inside.has('media of a stranger')) {
      stopped(
        'stranger',
        `media of ${stranger}, which nobody announced, came through to ${host}:${mediaPort} too`,
        'a rule of yours lets it in: pinholes make one for media unneeded',
      );
    } else passed('stranger', `media of ${stranger}, which nobody announced, is blocked`);
    inside.send(phoneMedia, peerMedia, 'media out');
    const out = await outside.gets('media out', WITHIN);
    if (out === null) {
      stopped(
        'mediaOut',
        `from ${host}:${mediaPort} to ${peer}: dropped, ${host} would hear and not be heard`,
        'let inside hosts send media (`pinholed rules` has a line for it), or set `outbound: true`',
      );
    } else if (out.from.address !== announced) {
      stopped(
        'mediaOut',
        `it is seen as ${out.from.address}, not as ${announced} that was announced`,
        'the same address has to stand for signalling and media',
      );
    } else
      passed(
        'mediaOut',
        `from ${host}:${mediaPort}, seen as ${out.from.address}:${out.from.port}, to ${peer}`,
      );
  }

  async function hangUp(): Promise<void> {
    const bye = messages.bye();
    const over = await crosses('bye', [inside, phone], [outside, provider], bye);
    if (over === null) return;
    const ok = messages.okBye();
    outside.send(provider, over.from, ok);
    if ((await inside.gets(ok, WITHIN)) === null) {
      stopped('bye', '200 OK to the BYE did not come back', advice.sip);
      return;
    }
    passed('bye', 'the call is over');
    const until = performance.now() + CLOSED_WITHIN;
    let left = await status();
    while (left.pinholes > 0 && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
      left = await status();
    }
    if (left.pinholes > 0)
      stopped('closed', `${left.pinholes} pinholes are still open`, 'see the log of the daemon');
    else passed('closed', 'no pinhole is left');
  }

  const ends = [
    [inside, phone],
    [inside, phoneMedia],
    [outside, provider],
    [outside, peerMedia],
    [outside, strangerMedia],
  ] as const;
  for (const [end, at] of ends) {
    if (!(await end.bind(at))) {
      stopped('invite', `no socket at ${at.address}:${at.port} in the copy`, '');
      return withRest(steps);
    }
  }
  if (await call()) {
    await media();
    await hangUp();
  }
  return withRest(steps);
}

/** After `timers.drain`, 10 s at most. */
const CLOSED_WITHIN = 15_000;
const LOOK_EVERY = 100;

/** With those that were not come to. */
function withRest(steps: readonly Step[]): Step[] {
  const known = new Set(steps.map(({ step }) => step));
  const rest = Object.values(STEPS).filter((step) => !known.has(step));
  return [...steps, ...rest.map((step) => ({ step, state: 'not reached' as const, text: '', advice: '' }))];
}
