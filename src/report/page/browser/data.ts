import { type Block, blockName, ROWS, valuesIn } from '../blocks.ts';
import type { CallPicture, CallRow } from '../model.ts';

/** What a browser is told that cannot read the report. */
const TOO_OLD =
  'This report is compressed, and this browser cannot inflate it: Chrome and Edge can from version 80 on, Safari from 16.4, Firefox from 113. pinholed replay --json has the same as data.';

/** The list of a report, which stands apart from the page. Rejects with a reason for people when it cannot be read. */
export async function rowsIn(from: Document): Promise<CallRow[]> {
  return (await valuesNamed(from, ROWS)) as CallRow[];
}

/** Reads the picture of a call; the list has the calls in this order. What is read is that call's block alone. */
export function createPictures(
  from: Document,
  rows: readonly Pick<CallRow, 'legId'>[],
): (legId: string) => Promise<CallPicture> {
  const places = new Map(rows.map(({ legId }, place) => [legId, place]));
  return async (legId) => {
    const place = places.get(legId) ?? rows.length;
    const pictures = (await valuesNamed(from, blockName(place))) as CallPicture[];
    const found = pictures.find(({ call }) => call.legId === legId);
    if (found === undefined) throw new Error('it is not in this file');
    return found;
  };
}

async function valuesNamed(from: Document, id: string): Promise<unknown[]> {
  const holder = from.getElementById(id);
  if (holder === null) throw new Error('it is not in this file');
  const content = holder.textContent ?? '';
  const isPlain = holder.getAttribute('type') === 'application/json';
  return valuesIn(JSON.parse(isPlain ? content : await inflated(content)) as Block);
}

async function inflated(base64: string): Promise<string> {
  if (typeof DecompressionStream === 'undefined') throw new Error(TOO_OLD);
  const characters = atob(base64);
  const bytes = new Uint8Array(characters.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = characters.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Response(stream).text();
}
