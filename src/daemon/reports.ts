import type { DataPathReport } from './messages.ts';
import { StartError } from './platform/platform.ts';

export type FromThread = Exclude<DataPathReport, { type: 'answer' }>;

/** The thread's reports: one after the other while it starts, then all to one listener. */
export interface Reports {
  take(report: FromThread): void;
  /** The next report of this type. Rejects with StartError when the thread says that it failed. */
  next<T extends 'opened' | 'running'>(type: T): Promise<Extract<FromThread, { type: T }>>;
  listen(listener: (report: FromThread) => void): void;
}

export function createReports(): Reports {
  const early: FromThread[] = [];
  let changed: () => void = () => {};
  let deliver = (report: FromThread) => {
    early.push(report);
    changed();
  };

  async function next<T extends 'opened' | 'running'>(type: T): Promise<Extract<FromThread, { type: T }>> {
    for (;;) {
      const found = early.find((report) => report.type === type);
      if (found !== undefined) {
        early.splice(early.indexOf(found), 1);
        return found as Extract<FromThread, { type: T }>;
      }
      const failed = early.find((report) => report.type === 'failed');
      if (failed !== undefined) throw new StartError(failed.message, failed.code);
      await new Promise<void>((resolve) => {
        changed = resolve;
      });
    }
  }

  return {
    take: (report) => deliver(report),
    next,
    listen(listener) {
      deliver = listener;
      for (const report of early.splice(0)) listener(report);
    },
  };
}
