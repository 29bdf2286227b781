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

interface SignalActions {
  readonly stop: () => void;
  readonly reload: () => void;
  readonly tellStatus: () => void;
  readonly supervised: boolean;
}

/** SIGTERM, SIGHUP and those that ask for the status. A terminal's SIGINT is the supervisor's to pass on. */
export function onSignals({ stop, reload, tellStatus, supervised }: SignalActions): {
  readonly end: () => void;
} {
  const actions: [NodeJS.Signals, () => void][] = [
    ['SIGTERM', stop],
    ['SIGINT', supervised ? () => {} : stop],
    ['SIGHUP', reload],
  ];
  for (const signal of statusSignals()) actions.push([signal, tellStatus]);
  for (const [signal, act] of actions) process.on(signal, act);
  return {
    end() {
      for (const [signal, act] of actions) process.off(signal, act);
    },
  };
}
