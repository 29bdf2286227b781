import type { DataPathStatus } from '../daemon/messages.ts';
import type { Alarm } from './protocol.ts';
import { seconds } from './units.ts';

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

/** A kind of alarm. */
interface Kind {
  readonly name: string;
  /** True: something that is so at this moment, and clears by itself. False: something that happened, so many times. */
  readonly lasts: boolean;
  readonly count: (status: DataPathStatus) => number;
  /** What happened `count` times. */
  readonly text: (count: number, status: DataPathStatus) => string;
  readonly advice: string;
}

const BOUND_ALARMS = Object.entries(BOUNDS).map(
  ([reason, setting]): Kind => ({
    name: reason,
    lasts: false,
    count: ({ inspector }) => inspector.refusals[reason] ?? 0,
    text: (count) => `${times(count)} refused for ${reason}`,
    advice: `Raise ${setting} if the load is honest.`,
  }),
);

/** Every kind there is, worst first. */
const KINDS: readonly Kind[] = [
  {
    name: 'bytes-modified',
    lasts: false,
    count: ({ fidelity }) => fidelity.modified,
    text: (count) =>
      `${counted(count, 'byte of a packet was', 'bytes of packets were')} changed inside the daemon and put back`,
    advice: 'This must never happen: report it with the log.',
  },
  {
    name: 'packet-deaths',
    lasts: false,
    count: ({ counters }) => counters.deaths,
    text: (count, { counters }) =>
      `the data path died over ${counted(count, 'packet', 'packets')}, which passed on unread` +
      (counters.unread > 0 ? `; the same passed ${times(counters.unread)} more` : ''),
    advice: 'Somebody may be attacking: the log says who sent what. Report it with a capture.',
  },
  {
    name: 'pinholes-missing',
    lasts: true,
    count: ({ missing }) => missing,
    text: (count) =>
      `${counted(count, 'pinhole is', 'pinholes are')} wanted and not open: the packet filter refuses ${count === 1 ? 'it' : 'them'}`,
    advice: 'Run `pinholed doctor`: it says what is wrong with the packet filter.',
  },
  {
    name: 'packets-lost',
    lasts: false,
    count: ({ platform }) =>
      Object.entries(platform).reduce((sum, [name, count]) => sum + (LOSSES.has(name) ? count : 0), 0),
    text: (count) =>
      `${counted(count, 'packet was', 'packets were')} lost or passed unseen before the daemon could read them`,
    advice:
      'Signalling came faster than it was read: look at the load of the machine; on Linux raise linux.queue-length.',
  },
  {
    name: 'older-connections',
    lasts: true,
    count: ({ inspector }) => inspector.olderConnections,
    text: (count) =>
      `${counted(count, 'SIP connection is', 'SIP connections are')} older than the daemon: nothing on them is read, and their calls get no pinholes`,
    advice:
      'End them, so that they are made anew: on FreeBSD pfctl -k HOST with the inside host, on Linux ss -K dst PEER on that host. The log has their addresses. Name your provider in peers: its connections are read on.',
  },
  {
    name: 'commit-errors',
    lasts: false,
    count: ({ counters }) => counters.commitErrors,
    text: (count, { counters }) =>
      `${counted(count, 'change was', 'changes were')} refused by the packet filter, of ${counters.commits + counters.commitErrors}`,
    advice: 'The log has the reasons; `pinholed doctor` checks the packet filter.',
  },
  {
    name: 'repairs',
    lasts: false,
    count: ({ counters }) => counters.repairs,
    text: (count) => `the rules of pinholes had to be put right ${times(count)}`,
    advice: 'Somebody else changes or flushes them: find out who reloads the packet filter.',
  },
  {
    name: 'unexpected-errors',
    lasts: false,
    count: ({ counters }) => counters.exceptions,
    text: (count) =>
      `${counted(count, 'unexpected error', 'unexpected errors')}; the packets went on all the same`,
    advice: 'Report them with the lines of the log.',
  },
  ...BOUND_ALARMS,
  {
    name: 'states-left',
    lasts: false,
    count: ({ counters }) => counters.statesLeft,
    text: (count) =>
      `states of ${counted(count, 'closed pinhole were', 'closed pinholes were')} not removed: more closed than could be kept`,
    advice:
      'The control thread did not keep up; such states go when they are idle. Look at the disk of the journal and the log, or raise caps.backlog.',
  },
  {
    name: 'events-lost',
    lasts: false,
    count: ({ counters }) => counters.eventsLost,
    text: (count) =>
      `${counted(count, 'line of the log or of a history was', 'lines of the log or of histories were')} left out`,
    advice: 'There was more to tell than could be told; calls were not affected.',
  },
];

/** What a process knows of itself, beside what its data path counts. */
interface Conditions {
  /** It had a supervisor, and has none. */
  readonly isSupervisorGone: () => boolean;
  /** What its journal was last told could not be written. */
  readonly isJournalBehind: () => boolean;
  /** It shares its calls with other firewalls, and the store for that is away. */
  readonly isStoreAway: () => boolean;
}

const kindsOf = ({ isSupervisorGone, isJournalBehind, isStoreAway }: Conditions): readonly Kind[] => [
  {
    name: 'supervisor-gone',
    lasts: true,
    count: () => Number(isSupervisorGone()),
    text: () =>
      'the supervisor has ended: nothing starts the data path again when it dies, and no signal reaches it',
    advice: 'Restart the service: calls are kept.',
  },
  {
    name: 'journal-behind',
    lasts: true,
    count: () => Number(isJournalBehind()),
    text: () => 'the journal cannot be written: calls that are up would not outlive a restart',
    advice: 'The log has the reason; make room on the disk of daemon.journal, or name another place.',
  },
  {
    name: 'store-away',
    lasts: true,
    count: () => Number(isStoreAway()),
    text: () =>
      'the store of peers-store is away: other firewalls hear of no call of this one, and this one of none of theirs',
    advice: 'The log has the reason. Calls go on here; they are shared again once the store is back.',
  },
  ...KINDS,
];

const never = () => false;

/** ms without another occurrence after which what happened is history: a day. */
const FORGOTTEN_AFTER = 24 * 60 * 60_000;

/**
 * What people should look at. An alarm over something that lasts clears with it; one over something that happened clears
 * when it was acknowledged, or when it did not happen again for a day. It comes back with the next occurrence, and counts
 * from there. Times are as exact as the intervals at which `look` is called.
 */
export interface AlarmBoard {
  /** The alarms there are, worst first. `now` in ms since the epoch. */
  look(status: DataPathStatus, now?: number): Alarm[];
  /**
   * Those of these names (null: all) were seen by somebody: clears what happened; what lasts stays. The names of those
   * that were cleared.
   */
  acknowledge(status: DataPathStatus, names: ReadonlySet<string> | null, now?: number): string[];
}

/** What is remembered of a kind. */
interface Seen {
  /** Of the last look. */
  count: number;
  /** Occurrences up to here are history. */
  forgotten: number;
  /** ms since the epoch: since when there is the alarm, and the last look that found more. */
  since: number;
  last: number;
}

/** A condition that is not given is never so. */
export function createAlarmBoard(conditions: Partial<Conditions> = {}): AlarmBoard {
  const kinds = kindsOf({
    isSupervisorGone: never,
    isJournalBehind: never,
    isStoreAway: never,
    ...conditions,
  });
  const seen = new Map<string, Seen>();

  function observe({ name, lasts, count }: Kind, status: DataPathStatus, now: number): Seen {
    const counted = count(status);
    const one = seen.get(name) ?? { count: 0, forgotten: 0, since: now, last: now };
    seen.set(name, one);
    if (lasts && counted === 0) one.forgotten = 0;
    if (counted > one.count) {
      if (one.count === one.forgotten) one.since = now;
      one.last = now;
    } else if (!lasts && now - one.last >= FORGOTTEN_AFTER) {
      one.forgotten = counted;
    }
    one.count = counted;
    return one;
  }

  function look(status: DataPathStatus, now = Date.now()): Alarm[] {
    return kinds.flatMap((kind): Alarm[] => {
      const { count, forgotten, since, last } = observe(kind, status, now);
      if (count <= forgotten) return [];
      const { name, advice } = kind;
      const text = kind.text(count - forgotten, status);
      return [{ name, text, advice, since: seconds(since), last: seconds(kind.lasts ? now : last) }];
    });
  }

  return {
    look,
    acknowledge(status, names, now = Date.now()) {
      const raised = new Set(look(status, now).map(({ name }) => name));
      const cleared = kinds.filter(
        ({ name, lasts }) => !lasts && raised.has(name) && (names === null || names.has(name)),
      );
      for (const { name } of cleared) {
        const one = seen.get(name)!;
        one.forgotten = one.count;
      }
      return cleared.map(({ name }) => name);
    },
  };
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}
