import type { InspectorSettings } from '../inspector.ts';
import { openCaptures } from '../intercept/capture.ts';
import type { ReplayReport } from '../report/replay/model.ts';
import { createReplay } from '../report/replay/replay.ts';

/** What calls in these captures come to under these settings. Throws CaptureError where a file cannot be opened. */
export function replayed(
  files: readonly string[],
  settings: InspectorSettings,
  tunnels: boolean,
): ReplayReport {
  const captures = openCaptures(files);
  try {
    const { pass, finish } = createReplay({
      ...{ files, tunnels, sipPorts: null, window: { from: null, to: null } },
      settings: { ...settings, trustMidstream: true },
    });
    for (let one = captures.next(); one !== null; one = captures.next()) pass(one);
    return finish(captures.damage);
  } finally {
    captures.close();
  }
}
