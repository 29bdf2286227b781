import { defaults } from '../../src/config/load.ts';
import type { InspectorSettings } from '../../src/inspector.ts';
import { openCaptures } from '../../src/intercept/capture.ts';
import type { ReplayReport } from '../../src/report/replay/model.ts';
import { createReplay, type ReplayOptions } from '../../src/report/replay/replay.ts';

export type Settings = Partial<Omit<InspectorSettings, 'timers' | 'caps'>>;

/** Replays files as `pinholed replay` does without options, but for what is given. */
export function replayFiles(
  files: readonly string[],
  settings: Settings = {},
  options: Partial<Omit<ReplayOptions, 'files' | 'settings'>> = {},
): ReplayReport {
  const captures = openCaptures(files);
  const { frame, finish } = createReplay({
    files,
    settings: { ...defaults(), inside: 'any', trustMidstream: true, ...settings },
    tunnels: false,
    sipPorts: null,
    window: { from: null, to: null },
    ...options,
  });
  for (const one of captures) frame(one);
  return finish(captures.damage);
}
