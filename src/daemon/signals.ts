import { constants } from 'node:os';

export interface SignalActions {
  readonly stop: () => void;
  readonly reload: () => void;
  readonly tellStatus: () => void;
  readonly supervised: boolean;
}

/** SIGTERM, SIGHUP, SIGUSR1 and, where there is one, SIGINFO. A terminal's SIGINT is the supervisor's to pass on. */
export function onSignals({ stop, reload, tellStatus, supervised }: SignalActions): {
  readonly end: () => void;
} {
  const actions: [NodeJS.Signals, () => void][] = [
    ['SIGTERM', stop],
    ['SIGINT', supervised ? () => {} : stop],
    ['SIGHUP', reload],
    ['SIGUSR1', tellStatus],
  ];
  if ('SIGINFO' in constants.signals) actions.push(['SIGINFO', tellStatus]);
  for (const [signal, act] of actions) process.on(signal, act);
  return {
    end() {
      for (const [signal, act] of actions) process.off(signal, act);
    },
  };
}
