import type { Settings } from '../config/schema.ts';
import { VERSION } from '../version.ts';
import { ControlError, connectControl } from './client.ts';
import type { StatusResult } from './protocol.ts';

/** One thing about the running daemon, in the form of the other checks of `pinholed doctor`. */
export interface ControlFinding {
  readonly level: 'ok' | 'caution' | 'fault';
  readonly text: string;
  /** What to do about it; empty when all is well. */
  readonly advice: string;
}

/** Whether the daemon runs and answers, is of this version, and what alarms it has. */
export async function examineDaemon({ control }: Pick<Settings, 'control'>): Promise<ControlFinding[]> {
  try {
    const client = await connectControl(control.socket);
    try {
      return findingsOf(await client.askOnce<StatusResult>({ request: 'status' }));
    } finally {
      client.close();
    }
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    const isStopped = error.code === 'not-running';
    const advice = isStopped
      ? 'Start it: `service pinholed start`, `systemctl start pinholed` or `pinholed run`.'
      : '';
    return [{ level: isStopped ? 'caution' : 'fault', text: error.message, advice }];
  }
}

function findingsOf({ version, pid, alarms }: StatusResult): ControlFinding[] {
  const running: ControlFinding = { level: 'ok', text: `pinholed ${version} runs, pid ${pid}`, advice: '' };
  const other: ControlFinding = {
    level: 'caution',
    text: `the daemon is pinholed ${version}, this program is ${VERSION}`,
    advice: 'Restart the daemon.',
  };
  return [
    running,
    ...(version === VERSION ? [] : [other]),
    ...alarms.map(({ text, advice }): ControlFinding => ({ level: 'caution', text, advice })),
  ];
}
