import { caution, type Finding, fault, ok, unknown } from '../checks/finding.ts';
import { writtenSettings } from '../config/print.ts';
import { writtenChanges } from '../config/reload.ts';
import type { Settings } from '../config/schema.ts';
import { VERSION } from '../version.ts';
import { ControlError, connectControl } from './client.ts';
import { modeText } from './mode.ts';
import type { SettingsResult, StatusResult, VerifyResult } from './protocol.ts';

const RESTART = 'restart the daemon';

/** Whether there is a daemon, as far as its control socket tells: also where it does not answer us. */
export async function isDaemonThere({ control }: Pick<Settings, 'control'>): Promise<boolean> {
  try {
    (await connectControl(control.socket)).close();
    return true;
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    return error.code !== 'not-running';
  }
}

/**
 * The running daemon: whether it answers and is of this version, its mode and alarms, whether it works with these settings,
 * and whether the packet filter holds what it committed.
 */
export async function examineDaemon(settings: Settings): Promise<Finding[]> {
  try {
    const client = await connectControl(settings.control.socket);
    try {
      const status = await client.askOnce<StatusResult>({ request: 'status' });
      return [
        ...fromStatus(status),
        await asked('settings', async () =>
          settingsOf(settings, await client.askOnce<SettingsResult>({ request: 'settings' })),
        ),
        await asked('rules', async () => rulesOf(await client.askOnce<VerifyResult>({ request: 'verify' }))),
      ];
    } finally {
      client.close();
    }
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    return [notAsked(error)];
  }
}

function notAsked({ code, message }: ControlError): Finding {
  if (code === 'not-running') {
    const start = 'start it: service pinholed start, systemctl start pinholed, or pinholed run';
    return caution('running', message, start);
  }
  if (code === 'no-permission' || code === 'forbidden') {
    return unknown('running', message, 'run it as root, or as a member of control.group');
  }
  return fault('running', message, code === 'protocol' ? RESTART : 'look into its log');
}

/** A finding, or that this daemon does not answer the question. */
async function asked(check: 'settings' | 'rules', ask: () => Promise<Finding>): Promise<Finding> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    const advice =
      error.code === 'unknown-request' ? `${RESTART}: it is of another version` : 'look into its log';
    return unknown(check, `the daemon did not answer: ${error.message}`, advice);
  }
}

function fromStatus(status: StatusResult): Finding[] {
  const { version, pid, user, mode, description, alarms, counters } = status;
  return [
    ok('running', `the daemon runs, pid ${pid}, user ${user}`),
    version === VERSION
      ? ok('version', `pinholed ${version}`)
      : caution('version', `the daemon is pinholed ${version}, this program is ${VERSION}`, RESTART),
    ok('mode', [modeText(mode), ...description].join('; ')),
    sipSeen(status),
    ...(alarms.length === 0
      ? [ok('alarms', `no alarms in ${counters.received} packets`)]
      : alarms.map(({ text, advice }) => caution('alarms', text, advice))),
  ];
}

/** s of service, and messages, after which what was never seen is missed. */
const LONG_ENOUGH = 300;
const MANY = 20;

/** Whether SIP comes to the daemon, and in both directions: no rule can tell as well. */
function sipSeen({ heard: { inside, outside }, uptime }: StatusResult): Finding {
  const requests = inside.requests + outside.requests;
  const responses = inside.responses + outside.responses;
  const sum = (side: typeof inside) => side.requests + side.responses;
  const text = `${sum(inside)} SIP messages of inside hosts, ${sum(outside)} of others`;
  if (requests + responses === 0) {
    const minutes = Math.floor(uptime / 60);
    return uptime < LONG_ENOUGH
      ? ok('sip-seen', 'no SIP has come so far; it has just begun')
      : caution(
          'sip-seen',
          `no SIP has come in ${minutes} minutes`,
          'if there were calls, they do not pass this machine, or no rule hands their packets over',
        );
  }
  const [one, other] = responses === 0 ? ['requests', 'response'] : ['responses', 'request'];
  if (requests + responses < MANY || Math.min(requests, responses) > 0) {
    return ok('sip-seen', `${text}: ${requests} requests, ${responses} responses`);
  }
  return caution(
    'sip-seen',
    `${text}: ${requests + responses} ${one}, not one ${other}`,
    'one direction is not handed over, or takes another way: calls get no pinholes so',
  );
}

function settingsOf(ours: Settings, { settings, file }: SettingsResult): Finding {
  const changes = writtenChanges(settings, writtenSettings(ours));
  if (changes.length === 0) return ok('settings', 'the daemon works with these settings');
  const restart = changes.some(({ reload }) => reload === 'restart');
  const keys = changes.map(({ key, from, to }) => `${key} (${from}, here ${to})`).join(', ');
  const advice = restart
    ? RESTART
    : 'have it read them: service pinholed reload, or systemctl reload pinholed';
  return caution(
    'settings',
    `the daemon works with other settings, of ${file ?? 'its defaults'}: ${keys}`,
    advice,
  );
}

function rulesOf({ pinholes, rules, missing, unexpected, examples }: VerifyResult): Finding {
  if (missing + unexpected === 0) {
    return ok(
      'rules',
      `${pinholes} pinholes are open, and the packet filter holds exactly their ${rules} rules`,
    );
  }
  return fault(
    'rules',
    `${pinholes} pinholes are open; rules missing (-): ${missing}, rules that should not be there (+): ${unexpected}: ` +
      examples.join(', '),
    'the daemon puts it right now; find out who else changes its rules, and look again',
  );
}
