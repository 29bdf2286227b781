/**
 * The firewall's ruleset loaded again and again beside calls, with the lock that both sides keep to: not one loading may
 * fail for our sake, and not one call may lack its pinholes. PINHOLED_VM_RELOADS and PINHOLED_VM_CALLS_PER_SECOND are how
 * many of each there are.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { close, pause, type Step, send, type Turn, take, talk, textsAt, turn, udp } from '../../lab/steps.ts';
import { sip } from '../scene.ts';
import { eventually, type GuestDaemon, startDaemon } from './daemon.ts';
import { ADDRESSES, type Guest, withoutGuest } from './guest.ts';
import { describeMedia, type Lab, openLab, pauseFor } from './lab.ts';
import { CONFIG, ruleset } from './ruleset.ts';

const RELOADS = Number(process.env['PINHOLED_VM_RELOADS'] ?? 30);
const CALLS_PER_SECOND = Number(process.env['PINHOLED_VM_CALLS_PER_SECOND'] ?? 10);
const LOCK = '/var/run/pf.conf.lock';
/** As long as it may be: an emulated machine takes its time to load a ruleset. */
const RETRY = '1s';
const SIP_PORT = 5060;
/** How often what was sent is looked for, every 200 ms: an emulated machine stands still for seconds. */
const LOOKS = 300;
/** ms that a user agent goes on asking: a data path that an emulated machine kills is back within minutes. */
const ASKS_FOR = 600_000;
const FIRST_PORT = 20_000;
const PORTS = 20_000;

interface Call {
  readonly callId: string;
  readonly callerPort: number;
  readonly calleePort: number;
}

describe(`a ruleset loaded ${RELOADS} times beside ${CALLS_PER_SECOND} calls a second`, {
  skip: withoutGuest,
}, () => {
  let lab: Lab;
  let guest: Guest;
  let daemon: GuestDaemon;
  /** SIP messages that were sent again for want of an answer. */
  let again = 0;

  before(async () => {
    lab = await openLab();
    guest = lab.guest;
    await guest.run(`: > ${LOCK}`);
    const config = CONFIG.replace('timers: {', `timers: { firewall-retry: ${RETRY},`);
    daemon = await startDaemon(guest, `${config}freebsd: { reload-lock: ${LOCK} }\n`, ruleset(guest));
  });

  after(async () => {
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  it('fails at no loading, and every call has its media from the first packet on', async (context) => {
    const { outside, inside } = lab;
    const [callerSip, calleeSip] = [at('outside', SIP_PORT), at('inside', SIP_PORT)];
    await outside.run([udp('sip', callerSip)]);
    await inside.run([udp('sip', calleeSip)]);
    const counts = `${guest.files}/reloads`;
    await guest.run(
      `cat > ${guest.files}/reload.sh <<'END-OF-FILE'\n${reloading(guest, counts)}\nEND-OF-FILE\n` +
        `rm -f ${counts}; nohup sh ${guest.files}/reload.sh >/dev/null 2>&1 &`,
    );
    let done = 0;
    const failures: string[] = [];
    const reloaded = async () => {
      const [loaded = 0, failed = 0] = (await guest.run(`cat ${counts} 2>/dev/null || true`))
        .trim()
        .split(' ')
        .map(Number);
      if (failed > 0) failures.push(`${failed} of ${loaded} failed`);
      return loaded;
    };
    /** By the machine's own clock, which may be another where it is emulated. */
    const guestSeconds = async () => Number(await guest.run('date +%s'));
    const [startedAt, guestStartedAt] = [performance.now(), await guestSeconds()];
    let before: Call[] = [];
    while ((await reloaded()) < RELOADS && failures.length === 0) {
      const batchAt = performance.now();
      const calls = Array.from({ length: CALLS_PER_SECOND }, () => nextCall(done++));
      await establish(calls);
      // Those of the batch before have been through reloads with their states.
      await exchangeMedia(before, 'later');
      await hangUp(before);
      before = calls;
      await pauseFor(Math.max(0, 1000 - (performance.now() - batchAt)));
    }
    await hangUp(before);
    const seconds = (performance.now() - startedAt) / 1000;
    const its = (await guestSeconds()) - guestStartedAt;
    const logged = async (text: string) =>
      Number(await guest.run(`grep -c '${text}' ${guest.files}/log || true`));
    context.diagnostic(
      `${await reloaded()} reloads beside ${done} calls in ${seconds.toFixed(0)} s: ` +
        `${(done / seconds).toFixed(1)} calls a second, ${its} s and ${(done / its).toFixed(1)} by its own clock; ${again} SIP messages sent again, ` +
        `${await logged('no heartbeat')} times no heartbeat`,
    );
    assert.deepEqual(failures, []);
    assert.ok(done > 0);
    assert.equal(await logged('refused a change'), 0);
    await eventually(async () => (await lab.pinholes()).length === 0);
  });

  /** Call, answer and ACK of each, and the first packets of either side as early as may be. */
  async function establish(calls: readonly Call[]): Promise<void> {
    const { outside, inside } = lab;
    const toCaller = at('outside', SIP_PORT);
    const toCallee = at('inside', SIP_PORT);
    const turns = calls.map((call) => {
      const { callId, callerPort, calleePort } = call;
      const [caller, callee] = [at('outside', callerPort), at('inside', calleePort)];
      const invite = sip('INVITE', { callId, body: describeMedia(caller) });
      const ok = sip('200 INVITE', { callId, to: 'b', body: describeMedia(callee) });
      const ack = sip('ACK', { callId, to: 'b' });
      return {
        caller: [
          turn(null, [['sip', toCallee, invite]], ok),
          turn(
            ok,
            [
              [`m${callerPort}`, callee, `first of caller ${callId}`],
              ['sip', toCallee, ack],
            ],
            null,
          ),
        ],
        callee: turn(
          invite,
          [
            [`m${calleePort}`, caller, `first of callee ${callId}`],
            ['sip', toCaller, ok],
          ],
          ack,
        ),
        late: [ok, send('sip', toCallee, ack)] as const,
      };
    });
    await Promise.all([
      inside.run(calls.map((call) => udp(`m${call.calleePort}`, at('inside', call.calleePort)))),
      outside.run(calls.map((call) => udp(`m${call.callerPort}`, at('outside', call.callerPort)))),
    ]);
    await converse(
      turns.flatMap(({ caller }) => caller),
      turns.map(({ callee }) => callee),
      new Map(turns.map(({ late }) => late)),
    );
    await assertArrived(calls, 'first');
  }

  /** Both sides' turns until all are over. `late`: what the caller says to a datagram that comes once more after that. */
  async function converse(
    asking: readonly Turn[],
    answering: readonly Turn[],
    late: ReadonlyMap<string, Step> = new Map(),
  ): Promise<void> {
    const { outside, inside } = lab;
    let isOver = false;
    const answers = inside.run([talk('sip', answering, ASKS_FOR)]).finally(() => {
      isOver = true;
    });
    const caller = async () => {
      const arrivals = await outside.run([talk('sip', asking, ASKS_FOR)]);
      while (!isOver) {
        const came = textsAt(await outside.run([pause(100), take('sip')]), 'sip');
        await outside.run(came.flatMap((text) => late.get(text) ?? []));
      }
      return arrivals;
    };
    for (const arrivals of await Promise.all([caller(), answers]))
      again += arrivals.filter(({ from, socket }) => from === '' && socket === 'sip').length;
  }

  async function exchangeMedia(calls: readonly Call[], what: string): Promise<void> {
    const { outside, inside } = lab;
    await outside.run(
      calls.map((call) =>
        send(`m${call.callerPort}`, at('inside', call.calleePort), `${what} of caller ${call.callId}`),
      ),
    );
    await inside.run(
      calls.map((call) =>
        send(`m${call.calleePort}`, at('outside', call.callerPort), `${what} of callee ${call.callId}`),
      ),
    );
    await assertArrived(calls, what);
  }

  /** Nothing of what each side of each call sent is missing on the other. */
  async function assertArrived(calls: readonly Call[], what: string): Promise<void> {
    const { outside, inside } = lab;
    const lost: string[] = [];
    const look = async (actor: typeof outside, whose: string, portOf: (call: Call) => number) => {
      const missing = new Set(calls);
      for (let tries = 0; missing.size > 0 && tries < LOOKS; tries++) {
        const steps = [...missing].map((call) => take(`m${portOf(call)}`));
        const arrivals = await actor.run(tries === 0 ? steps : [pause(200), ...steps]);
        for (const call of missing) {
          const texts = textsAt(arrivals, `m${portOf(call)}`);
          if (texts.includes(`${what} of ${whose} ${call.callId}`)) missing.delete(call);
        }
      }
      lost.push(...[...missing].map(({ callId }) => `${what} of ${whose} ${callId}`));
    };
    await Promise.all([
      look(inside, 'caller', ({ calleePort }) => calleePort),
      look(outside, 'callee', ({ callerPort }) => callerPort),
    ]);
    assert.deepEqual(lost, []);
  }

  async function hangUp(calls: readonly Call[]): Promise<void> {
    const { outside, inside } = lab;
    const message = (start: string, { callId }: Call) => sip(start, { callId, to: 'b', cseq: 2 });
    const byes = calls.map((call) => [message('BYE', call), message('200 BYE', call)] as const);
    await converse(
      byes.map(([bye, ok]) => turn(null, [['sip', at('inside', SIP_PORT), bye]], ok)),
      byes.map(([bye, ok]) => turn(bye, [['sip', at('outside', SIP_PORT), ok]], null)),
    );
    await inside.run(calls.map((call) => close(`m${call.calleePort}`)));
    await outside.run(calls.map((call) => close(`m${call.callerPort}`)));
  }
});

const at = (side: 'outside' | 'inside', port: number) => ({ address: ADDRESSES[side][4], port });

function nextCall(index: number): Call {
  const port = FIRST_PORT + ((index * 4) % PORTS);
  return { callId: `reload-${index}-${process.pid}@example.com`, callerPort: port, calleePort: port + 2 };
}

/** Loads the ruleset under the lock, as pfSense and OPNsense do, and writes how often, and how often in vain. */
function reloading({ files }: Guest, counts: string): string {
  return `loaded=0 failed=0
while [ $loaded -lt ${RELOADS} ]; do
  lockf -k ${LOCK} pfctl -q -f ${files}/pf.conf || failed=$((failed + 1))
  loaded=$((loaded + 1))
  echo $loaded $failed > ${counts}.new && mv ${counts}.new ${counts}
done`;
}
