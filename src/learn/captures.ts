import type { InspectorSettings } from '../inspector.ts';
import { mergeCaptures, openCapture } from '../intercept/capture.ts';
import type { ReplayReport } from '../report/replay/model.ts';
import { createReplay } from '../report/replay/replay.ts';

/** What calls in these captures come to under these settings. Throws CaptureError where a file cannot be opened. */
export function replayed(
  files: readonly string[],
  settings: InspectorSettings,
  tunnels: boolean,
): ReplayReport {
  const readers = files.map(openCapture);
  try {
    const { frame, finish } = createReplay({
      ...{ files, tunnels, sipPorts: null, window: { from: null, to: null } },
      settings: { ...settings, trustMidstream: true },
    });
    for (const one of mergeCaptures(readers)) frame(one);
    return finish(readers.flatMap(({ damage }) => (damage === null ? [] : [damage])));
  } finally {
    for (const reader of readers) reader.close();
  }
}
