import { constants } from 'node:os';

/**
 * The signals that ask for a status line: SIGINFO where there is one, and SIGUSR1. Not the latter under Bun on
 * FreeBSD, where the garbage collector stops threads by it: with a handler of ours it would wait for ever.
 */
export function statusSignals(): readonly NodeJS.Signals[] {
  const all: NodeJS.Signals[] = 'SIGINFO' in constants.signals ? ['SIGINFO'] : [];
  if (process.platform !== 'freebsd' || !('bun' in process.versions)) all.push('SIGUSR1');
  return all;
}

/** Signals that came before they meant anything. */
export interface EarlySignals {
  /** Those that came, each once. From now on they are somebody else's. */
  release(): readonly NodeJS.Signals[];
}

/**
 * Until a start is over a reload, and who asks for the status, wait: neither ends the process nor, as SIGUSR1 does in Node,
 * opens a debugger, and none is lost.
 */
export function keepEarlySignals(): EarlySignals {
  const came = new Set<NodeJS.Signals>();
  const keep = (signal: NodeJS.Signals) => void came.add(signal);
  const all: readonly NodeJS.Signals[] = ['SIGHUP', ...statusSignals()];
  for (const signal of all) process.on(signal, keep);
  return {
    release() {
      for (const signal of all) process.off(signal, keep);
      return [...came];
    },
  };
}

interface SignalActions {
  readonly stop: () => void;
  readonly reload: () => void;
  readonly tellStatus: () => void;
  readonly supervised: boolean;
  readonly early: EarlySignals;
}

/** SIGTERM, SIGHUP and those that ask for the status. A terminal's SIGINT is the supervisor's to pass on. */
export function onSignals({ stop, reload, tellStatus, supervised, early }: SignalActions): {
  readonly end: () => void;
} {
  const actions = new Map<NodeJS.Signals, () => void>([
    ['SIGTERM', stop],
    ['SIGINT', supervised ? () => {} : stop],
    ['SIGHUP', reload],
  ]);
  for (const signal of statusSignals()) actions.set(signal, tellStatus);
  for (const [signal, act] of actions) process.on(signal, act);
  // Once whoever called is at work.
  for (const signal of early.release()) setImmediate(() => actions.get(signal)?.());
  return {
    end() {
      for (const [signal, act] of actions) process.off(signal, act);
    },
  };
}
