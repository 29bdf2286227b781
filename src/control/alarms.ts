import type { DataPathStatus } from '../daemon/messages.ts';
import type { Alarm } from './protocol.ts';

/** Counters of the platforms that mean signalling was lost: divert(4)'s and NFQUEUE's. */
const LOSSES: ReadonlySet<string> = new Set([
  'queueFull',
  'socketFull',
  'lost-queue-full',
  'dropped-looping',
]);
/** Refusals that are bounds of the configuration, by the setting to raise. */
const BOUNDS = {
  'calls-limit': 'caps.calls',
  'calls-per-host-limit': 'caps.calls-per-host',
  'calls-per-peer-limit': 'calls of the peer',
  'unanswered-limit': 'caps.unanswered',
  'offer-rate-limit': 'caps.offers-per-second',
  'answer-rate-limit': 'caps.offers-per-second',
  'stream-evicted': 'caps.tcp-connections',
  'message-too-large': 'caps.message-bytes or caps.headers',
} as const satisfies Record<string, string>;

/** What people should look at, worst first. All of it is since the start of the daemon. */
export function alarmsOf(status: DataPathStatus): Alarm[] {
  const { counters, missing, fidelity, platform, inspector } = status;
  const alarms: Alarm[] = [];
  const raise = (name: string, text: string, advice: string) => alarms.push({ name, text, advice });
  if (fidelity.modified > 0) {
    raise(
      'bytes-modified',
      `${counted(fidelity.modified, 'byte of a packet was', 'bytes of packets were')} changed inside the daemon and put back`,
      'This must never happen: report it with the log.',
    );
  }
  if (counters.deaths > 0) {
    raise(
      'packet-deaths',
      `the data path died over ${counted(counters.deaths, 'packet', 'packets')}, which passed on unread` +
        (counters.unread > 0 ? `; the same passed ${times(counters.unread)} more` : ''),
      'Somebody may be attacking: the log says who sent what. Report it with a capture.',
    );
  }
  if (missing > 0) {
    raise(
      'pinholes-missing',
      `${counted(missing, 'pinhole is', 'pinholes are')} wanted and not open: the packet filter refuses ${missing === 1 ? 'it' : 'them'}`,
      'Run `pinholed doctor`: it says what is wrong with the packet filter.',
    );
  }
  const lost = Object.entries(platform).reduce(
    (sum, [name, count]) => sum + (LOSSES.has(name) ? count : 0),
    0,
  );
  if (lost > 0) {
    raise(
      'packets-lost',
      `${counted(lost, 'packet was', 'packets were')} lost or passed unseen before the daemon could read them`,
      'Signalling came faster than it was read: look at the load of the machine; on Linux raise linux.queue-length.',
    );
  }
  if (inspector.olderConnections > 0) {
    raise(
      'older-connections',
      `${counted(inspector.olderConnections, 'SIP connection is', 'SIP connections are')} older than the daemon: nothing on them is read, and their calls get no pinholes`,
      'End them, so that they are made anew: on FreeBSD pfctl -k HOST with the inside host, on Linux ss -K dst PEER on that host. The log has their addresses. Name your provider in peers: its connections are read on.',
    );
  }
  if (counters.commitErrors > 0) {
    raise(
      'commit-errors',
      `${counted(counters.commitErrors, 'change was', 'changes were')} refused by the packet filter, of ${counters.commits + counters.commitErrors}`,
      'The log has the reasons; `pinholed doctor` checks the packet filter.',
    );
  }
  if (counters.repairs > 0) {
    raise(
      'repairs',
      `the rules of pinholes had to be put right ${times(counters.repairs)}`,
      'Somebody else changes or flushes them: find out who reloads the packet filter.',
    );
  }
  if (counters.exceptions > 0) {
    raise(
      'unexpected-errors',
      `${counted(counters.exceptions, 'unexpected error', 'unexpected errors')}; the packets went on all the same`,
      'Report them with the lines of the log.',
    );
  }
  for (const [reason, setting] of Object.entries(BOUNDS)) {
    const count = inspector.refusals[reason] ?? 0;
    if (count === 0) continue;
    raise(reason, `${times(count)} refused for ${reason}`, `Raise ${setting} if the load is honest.`);
  }
  if (counters.statesLeft > 0) {
    raise(
      'states-left',
      `states of ${counted(counters.statesLeft, 'closed pinhole were', 'closed pinholes were')} not removed: more closed than could be kept`,
      'The control thread did not keep up; such states go when they are idle. Look at the disk of the journal and the log, or raise caps.backlog.',
    );
  }
  if (counters.eventsLost > 0) {
    raise(
      'events-lost',
      `${counted(counters.eventsLost, 'line of the log or of a history was', 'lines of the log or of histories were')} left out`,
      'There was more to tell than could be told; calls were not affected.',
    );
  }
  return alarms;
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}
