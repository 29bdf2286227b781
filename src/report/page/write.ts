import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReplayReport } from '../replay/model.ts';
import { replayHtml } from './html.ts';
import { replayPictures } from './pictures.ts';

/** Writes the report's page to a file, over what is there. Throws the file system's error when it cannot. */
export async function writeReplayPage(path: string, report: ReplayReport): Promise<void> {
  await pipeline(Readable.from(replayHtml(replayPictures(report))), createWriteStream(path));
}
