import { loadConfig, type Settings } from '../config/load.ts';
import type { ControlClient } from '../control/client.ts';
import type { SettingsResult } from '../control/protocol.ts';
import type { CallReport } from '../history/call-report.ts';
import { type ExplainResult, readExplained } from '../report/live/explain.ts';
import { parseMoment } from '../report/time.ts';
import { gather } from './ask.ts';

/** Calls that a daemon remembers, and the settings that it has. */
interface Remembered {
  readonly calls: readonly CallReport[];
  readonly settings: Settings;
  /** The file that it reads; null: there is none. */
  readonly file: string | null;
}

/** Asks for all that were not over before `since` (ms since the epoch); null: for all. Throws ControlError. */
export async function remembered(client: ControlClient, since: number | null): Promise<Remembered> {
  const { file, settings } = await client.askOnce<SettingsResult>({ request: 'settings' });
  const request = { request: 'history' as const, ...(since !== null && { since: since / 1000 }) };
  const calls = await gather<ExplainResult, ExplainResult>(client, request, (part) => [part]);
  const loaded = loadConfig(JSON.stringify(settings), 'the daemon');
  if (loaded.ok) return { calls: calls.map(readExplained), settings: loaded.settings, file };
  throw new Error(
    `settings of the daemon: ${loaded.problems.map(({ key, message }) => `${key}: ${message}`).join('; ')}`,
  );
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `--since`, for yargs' `coerce`: `2h`, `7d`, or a time; ms since the epoch. Throws what is to be said of another text. */
export function sinceOf(text: string): number {
  const [, number, unit] = /^([0-9]{1,6})([smhd])$/.exec(text) ?? [];
  if (unit !== undefined) return Date.now() - Number(number) * UNITS[unit]! * 1000;
  const moment = parseMoment(text);
  if (moment?.since === 'epoch') return moment.ms;
  throw new Error(
    `--since: expected 30m, 2h, 7d or a time such as 2026-07-01T12:00:00Z, found ${JSON.stringify(text)}`,
  );
}
