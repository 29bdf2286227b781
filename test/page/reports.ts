import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { defaults } from '../../src/config/load.ts';
import { mergeCaptures, openCapture } from '../../src/intercept/capture.ts';
import { writeReplayPage } from '../../src/report/page/write.ts';
import type { ReplayReport } from '../../src/report/replay/model.ts';
import { createReplay } from '../../src/report/replay/replay.ts';

/** The report of one of the captures of pcaps/. */
export function replayed(name: string): ReplayReport {
  const path = fileURLToPath(new URL(`../../pcaps/${name}.pcap`, import.meta.url));
  const { frame, finish } = createReplay({
    files: [path],
    settings: { ...defaults(), inside: 'any', trustMidstream: true },
    tunnels: false,
    sipPorts: null,
    window: { from: null, to: null },
  });
  const reader = openCapture(path);
  for (const one of mergeCaptures([reader])) frame(one);
  reader.close();
  return finish([]);
}

export interface Shelf {
  /** Writes a report's page and returns its address. */
  put(name: string, report: ReplayReport): Promise<string>;
  clear(): void;
}

/** A directory of reports, which goes away with the test. */
export function createShelf(): Shelf {
  const directory = mkdtempSync(join(tmpdir(), 'pinholed-page-'));
  return {
    async put(name, report) {
      const path = join(directory, `${name}.html`);
      await writeReplayPage(path, report);
      return pathToFileURL(path).href;
    },
    clear: () => rmSync(directory, { recursive: true }),
  };
}
