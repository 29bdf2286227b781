import { setFlagsFromString } from 'node:v8';
import { type Address, familyOf, parseAddress } from '../address/address.ts';
import { parseNetwork } from '../address/network.ts';
import { includesPort, type PortRange } from '../address/ports.ts';
import { defaults, type Settings } from '../config/load.ts';
import { followed } from '../daemon/platform/observing.ts';
import type { InspectorSettings } from '../inspector.ts';
import { CaptureError, type Captures, type FrameInPlace, openCaptures } from '../intercept/capture.ts';
import { writeReason } from '../reason.ts';
import { createProgress } from '../report/progress.ts';
import { replayJson } from '../report/replay/json.ts';
import type { ReplayReport, Window } from '../report/replay/model.ts';
import { createReplay } from '../report/replay/replay.ts';
import { replayText } from '../report/replay/text.ts';
import { terminalStyle } from '../report/style.ts';
import { type Moment, parseMoment } from '../report/time.ts';
import { writeAll } from '../report/write.ts';
import { atHome, insideOf, networkOf, tunnelsOption } from './captures.ts';
import { command } from './command.ts';
import { configOption, configured } from './configured.ts';
import { follow } from './replay/follow.ts';

/** `pinholed replay`: exit status 0, 1 when a file or an option is unusable, 2 when one was damaged or nothing could be read. */
export const replay = command(
  (argv) =>
    argv
      .positional('file', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'pcap or pcapng, also gzip compressed; - is standard input; several are merged by time',
      })
      .option('config', {
        ...configOption,
        describe: 'Configuration file (default: none, the built-in defaults)',
      })
      .option('inside', {
        type: 'string',
        array: true,
        nargs: 1,
        describe:
          'A network behind the firewall, repeatable; without it the private side, where private and public addresses signal with each other, else every host may open towards itself',
        coerce: (texts: readonly string[]) => texts.map(networkOf),
      })
      .option('nat', {
        type: 'string',
        array: true,
        nargs: 1,
        describe: 'EXTERNAL=HOST: an external address and the inside host that it stands for, repeatable',
        coerce: (texts: readonly string[]) => texts.map(natOf),
      })
      .option('sip-ports', {
        type: 'string',
        requiresArg: true,
        describe:
          'Look for SIP on these ports only, such as 5060,5080-5090; without it everywhere, by content',
        coerce: portsOf,
      })
      .option('tunnels', tunnelsOption)
      .option('from', {
        type: 'string',
        requiresArg: true,
        describe: 'Show from here on: ISO 8601, seconds since the epoch, or +SECONDS after the first frame',
        coerce: momentOf('from'),
      })
      .option('to', {
        type: 'string',
        requiresArg: true,
        describe: 'Read up to here',
        coerce: momentOf('to'),
      })
      .option('json', { type: 'boolean', default: false, describe: 'One JSON object, always complete' })
      .option('html', {
        type: 'string',
        requiresArg: true,
        describe: 'Write a page with a picture of each call to this file (one file, needs no other)',
        coerce: htmlFile,
      })
      .option('calls', { type: 'boolean', describe: 'The calls with their messages only' })
      .option('refused', { type: 'boolean', describe: 'Refusals and blocked media only' })
      .option('filter', {
        type: 'string',
        requiresArg: true,
        default: '',
        describe: 'Calls only in which these words are found: Call-ID, names, addresses, outcome',
      })
      .option('full', {
        type: 'boolean',
        default: false,
        describe: 'Every call in full; without it, of more than 20 calls those in trouble',
      })
      .option('follow', {
        type: 'boolean',
        describe:
          'Tell what happens as it is read, a line each: tcpdump -U -w - port 5060 | pinholed replay --follow -',
      })
      .conflicts('calls', 'refused')
      .conflicts('follow', ['html', 'calls', 'refused', 'from', 'to'])
      .epilogue(
        'Exit status: 0 all read, 1 bad usage or file, 2 finished, but a file was damaged or not to be read.\n' +
          'What came before --from is followed all the same, so that calls and pinholes are right.\n' +
          'The bounds on numbers of calls and offers (caps) hold with --config or --inside only.\n' +
          'With --inside, packets that leave the inside are not blocked here; states of your own rules are not known.',
      ),
  async (args) => {
    const given = args.config === undefined ? defaults() : configured(args.config)?.settings;
    if (given === undefined) return 1;
    const found = atHome(given, (line) => {
      if (args.nat === undefined) console.error(`pinholed: ${line}; --nat EXTERNAL=HOST says what it was`);
    });
    const files = filesOf(args.file, process.argv);
    const captures = opened(files);
    if (captures === null) return 1;
    if (args.follow === true) {
      const inside = args.inside ?? found.inside;
      const settings = replaySettings(followed({ ...found, mode: 'observe' }), inside, args.nat ?? []);
      return follow(captures, {
        settings,
        tunnels: args.tunnels,
        json: args.json,
        isSip: isOn(args.sipPorts),
      });
    }
    const hasOwnCaps = args.config !== undefined || args.inside !== undefined;
    const assumed = args.inside === undefined ? insideOf(files) : null;
    const inside = args.inside ?? assumed ?? 'any';
    const settings = replaySettings(hasOwnCaps ? found : withoutCallCaps(found), inside, args.nat ?? []);
    const report = run(captures, files, settings, {
      assumed: assumed !== null,
      tunnels: args.tunnels,
      sipPorts: args.sipPorts ?? null,
      from: args.from ?? null,
      to: args.to ?? null,
    });
    const parts = args.calls === true ? 'calls' : args.refused === true ? 'refused' : 'all';
    const style = terminalStyle(process.stdout, process.env);
    if (args.html !== undefined && !(await writePage(args.html, report))) return 1;
    if (args.html === undefined || args.json) {
      await writeAll(process.stdout, args.json ? replayJson(report) : replayText(report, parts, style, args));
    }
    for (const { message } of report.damage) console.error(`pinholed: ${message}`);
    const isUnread = report.frames > 0 && report.unreadable.get('link-type-unknown') === report.frames;
    if (isUnread) console.error(`pinholed: nothing could be read: ${report.notes.join(' ')}`);
    return isUnread || report.damage.length > 0 ? 2 : 0;
  },
);

function isOn(
  ranges: readonly PortRange[] | undefined,
): (sourcePort: number, destinationPort: number) => boolean {
  if (ranges === undefined) return () => true;
  return (sourcePort, destinationPort) =>
    includesPort(ranges, sourcePort) || includesPort(ranges, destinationPort);
}

/** A capture tells of connections that were up before it began. Whose hosts are inside is for --inside alone to say. */
function replaySettings(
  settings: Settings,
  inside: InspectorSettings['inside'],
  nat: InspectorSettings['nat'],
): InspectorSettings {
  return { ...settings, inside, nat: [...nat, ...settings.nat], trustMidstream: true };
}

/**
 * Where nobody said whose hosts are inside, every host in the capture counts as inside, a provider's SBC with
 * thousands of calls as well: bounds for one of one's own hosts say nothing then.
 */
function withoutCallCaps(settings: Settings): Settings {
  const most = Number.MAX_SAFE_INTEGER;
  const caps = { calls: most, callsPerHost: most, unanswered: most, ended: most, offersPerSecond: 1e9 };
  return { ...settings, caps: { ...settings.caps, ...caps } };
}

interface Limits {
  readonly tunnels: boolean;
  readonly sipPorts: readonly PortRange[] | null;
  readonly from: Moment | null;
  readonly to: Moment | null;
  /** Nobody said who is inside. */
  readonly assumed: boolean;
}

function run(
  captures: Captures,
  files: readonly string[],
  settings: InspectorSettings,
  { tunnels, sipPorts, from, to, assumed }: Limits,
): ReplayReport {
  // V8's helper threads for the young generation take more of the processor than they save.
  setFlagsFromString('--no-parallel-scavenge');
  const progress = createProgress(process.stderr, files);
  const first = captures.next();
  const window = windowOf(first, from, to);
  const { pass, finish } = createReplay({ files, settings, tunnels, sipPorts, window, assumed });
  let count = 0;
  for (let next = first; next !== null; next = captures.next()) {
    if (window.to !== null && next.time > window.to) break;
    pass(next);
    count++;
    if ((count & 4095) === 0) progress.update(count, captures.offset);
  }
  progress.clear();
  captures.close();
  return finish(captures.damage);
}

function windowOf(first: FrameInPlace | null, from: Moment | null, to: Moment | null): Window {
  const resolve = (moment: Moment | null) => {
    if (moment === null) return null;
    return moment.since === 'epoch' ? moment.ms : (first?.time ?? 0) + moment.ms;
  };
  return { from: resolve(from), to: resolve(to) };
}

/** yargs loses a positional `-`: it is last here, wherever it stood. */
function filesOf(named: readonly string[], words: readonly string[]): readonly string[] {
  return words.includes('-') ? [...named, '-'] : named;
}

/** Null after what is wrong with a file was written to stderr. */
function opened(files: readonly string[]): Captures | null {
  try {
    return openCaptures(files);
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    console.error(`pinholed: ${error.message}`);
    return null;
  }
}

/** False after what is wrong with the file was written to stderr. */
async function writePage(path: string, report: ReplayReport): Promise<boolean> {
  const { writeReplayPage } = await import('../report/page/write.ts');
  try {
    await writeReplayPage(path, report);
    return true;
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    console.error(`pinholed: cannot write ${path}: ${writeReason(error)}`);
    return false;
  }
}

/** Never a capture by mistake. */
function htmlFile(path: string): string {
  if (/\.html?$/i.test(path)) return path;
  throw new Error(`--html: expected a file name that ends in .html, found ${JSON.stringify(path)}`);
}

/** `203.0.113.2=192.168.1.10` */
function natOf(text: string): InspectorSettings['nat'][number] {
  const [outer = '', inner = '', ...more] = text.split('=');
  const [external, host] = [parseAddress(outer), parseAddress(inner)] as [Address | null, Address | null];
  if (external === null || host === null || more.length > 0 || familyOf(external) !== familyOf(host)) {
    throw new Error(
      `--nat: expected an external address and the inside host it stands for, such as 203.0.113.2=192.168.1.10, found ${JSON.stringify(text)}`,
    );
  }
  const hosts = [parseNetwork(host)!];
  return { external: { address: external }, hosts, translation: null, arrivesAt: null };
}

function momentOf(option: 'from' | 'to'): (text: string) => Moment {
  return (text) => {
    const moment = parseMoment(text);
    if (moment !== null) return moment;
    throw new Error(
      `--${option}: expected a time such as 2026-07-01T12:00:00Z, 1782900000.5 or +90, found ${JSON.stringify(text)}`,
    );
  };
}

function portsOf(text: string): readonly PortRange[] {
  return text.split(',').map((part) => {
    const match = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(part.trim());
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || first < 1 || last > 65_535 || first > last) {
      throw new Error(`--sip-ports: expected ports such as 5060,5080-5090, found ${JSON.stringify(text)}`);
    }
    return [first, last];
  });
}
