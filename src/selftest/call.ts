import type { TransportAddress } from '../address/address.ts';
import { transportText } from '../call/description.ts';
import type { ControlClient } from '../control/client.ts';
import type { StatusResult } from '../control/protocol.ts';
import type { RefusedResult } from '../report/live/refused.ts';
import { type TestHost, WITHIN } from './host.ts';
import type { Advice } from './machine.ts';
import { strangerOf, streamsOf, testMedia } from './media.ts';
import { audioAt, messagesOf } from './messages.ts';
import type { Plan } from './plan.ts';
import { createSteps, type Step, type StepName } from './steps.ts';

const HAND_OVER = '`pinholed rules` prints the rules that hand it over';

/** Plays a call from the host inside to the one outside, and media both ways, and tells what passed and where it stopped. */
export async function testCall(
  plan: Plan,
  inside: TestHost,
  outside: TestHost,
  daemon: Pick<ControlClient, 'askOnce'>,
  advice: Advice,
): Promise<Step[]> {
  const steps = createSteps();
  const { passed, stopped } = steps;
  const { host, peer, announced, sipPort, mediaPorts } = plan;
  const phone = { address: host, port: sipPort };
  const provider = { address: peer, port: sipPort };
  const streams = streamsOf(plan);
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
    const invite = messages.invite(audioAt(announced, ...mediaPorts));
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
    const ok = messages.ok(audioAt(peer, ...streams.map((stream) => stream.peer.port)));
    outside.send(provider, came.from, ok);
    const answered = await inside.gets(ok, WITHIN);
    if (answered === null) return stopped('answer', '200 OK did not come back', advice.sip);
    passed('answer', `from ${peer} to ${host}`);
    const ack = messages.ack();
    inside.send(phone, provider, ack);
    await outside.gets(ack, WITHIN);
    const { pinholes, pinholesMissing } = await status();
    if (pinholes > 0 && pinholesMissing === 0)
      return passed(
        'pinhole',
        `${mediaPorts.map((port) => transportText(announced, port)).join(' and ')}, for ${peer}`,
      );
    return stopped('pinhole', await whyNone(), 'what is refused has its reason in docs/refusals.md');
  }

  async function whyNone(): Promise<string> {
    const { refused } = await daemon.askOnce<{ readonly refused: readonly RefusedResult[] }>({
      request: 'refused',
    });
    const found = refused.find(({ reason }) => reason !== 'not-inside');
    return found === undefined ? 'none is open' : `none is open: ${found.reason} (${found.detail})`;
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
    [outside, provider],
    [outside, strangerOf(plan)],
    ...streams.flatMap((stream) => [[inside, stream.host] as const, [outside, stream.peer] as const]),
  ] as const;
  for (const [end, at] of ends) {
    if (!(await end.bind(at))) {
      stopped('invite', `no socket at ${at.address}:${at.port} in the copy`, '');
      return steps.all();
    }
  }
  if (await call()) {
    await testMedia(plan, [inside, outside], advice, steps);
    await hangUp();
  }
  return steps.all();
}

/** After `timers.drain`, 10 s at most. */
const CLOSED_WITHIN = 15_000;
const LOOK_EVERY = 100;
