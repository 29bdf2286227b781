import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Network, parseNetwork } from '../../src/address/network.ts';
import { sharedDir } from '../shared.ts';

/** A capture and whose hosts are inside in it. */
export interface Capture {
  readonly file: string;
  readonly inside: readonly Network[];
}

const own = fileURLToPath(new URL('../../pcaps', import.meta.url));
const networks = (texts: readonly string[]) => texts.map((text) => parseNetwork(text)!);

function filesIn(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => name.endsWith('.pcap'))
    .sort()
    .map((name) => join(directory, name));
}

/** `--inside` of the case beside a capture. */
function argumentsOf(file: string): string[] {
  const { args } = JSON.parse(readFileSync(file.replace(/pcap$/, 'json'), 'utf8')) as { args: string[] };
  return args.filter((_, index) => args[index - 1] === '--inside');
}

/** Those of our own, and the cases after public reports where they are there. */
export const CAPTURES: readonly Capture[] = [
  ...filesIn(own).map((file) => ({ file, inside: networks(['198.51.100.0/24', '2001:db8:2::/48']) })),
  ...['handed', 'guards'].flatMap((name) =>
    filesIn(join(sharedDir, 'cases', name)).map((file) => ({ file, inside: networks(argumentsOf(file)) })),
  ),
  ...filesIn(join(sharedDir, 'cases/nat')).map((file) => ({
    file,
    inside: networks(['192.168.0.0/16', '10.0.0.0/8']),
  })),
];
