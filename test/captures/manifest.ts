import { readdirSync, readFileSync } from 'node:fs';
import { sharedDir, withoutShared } from '../shared.ts';

/** One capture of MANIFEST.tsv; the counts are tshark's. */
export interface Row {
  readonly name: string;
  readonly path: string;
  readonly frames: number;
  readonly messages: number;
  readonly udp: number;
  readonly tcp: number;
  readonly invites: number;
  readonly requests: ReadonlyMap<string, number>;
  readonly features: string;
}

/** Every capture of the manifest, in its order; none without the public captures. */
export function captureRows(): readonly Row[] {
  if (withoutShared !== false) return [];
  const [head, ...lines] = readFileSync(`${sharedDir}/captures/MANIFEST.tsv`, 'utf8').trimEnd().split('\n');
  const columns = head!.split('\t');
  return lines.flatMap((line) => {
    const cells = line.split('\t');
    const cell = (name: string) => cells[columns.indexOf(name)] ?? '';
    const file = cell('file');
    if (!file.startsWith('pcaps/')) return [];
    const methods = cell('methods_or_first_line').split(' ').filter(Boolean);
    return {
      name: file.slice('pcaps/'.length),
      path: `${sharedDir}/captures/${file}`,
      frames: Number(cell('frames')),
      messages: Number(cell('sip_packets')),
      udp: Number(cell('sip_udp')),
      tcp: Number(cell('sip_tcp')),
      invites: Number(cell('invites')),
      requests: new Map(
        methods.map((entry): [string, number] => {
          const colon = entry.lastIndexOf(':');
          return [entry.slice(0, colon), Number(entry.slice(colon + 1))];
        }),
      ),
      features: cell('features'),
    };
  });
}

/** What tshark found in a capture, as far as the tests ask for it. */
export interface Truth {
  readonly file: string;
  readonly announced: readonly {
    readonly id: number;
    readonly address: string;
    readonly port: number;
    readonly port_count: number;
    readonly rtcp_port: number | null;
    readonly rejected: boolean;
    readonly candidates: readonly { readonly address: string; readonly port: number }[];
    readonly frame: number;
    readonly sender: string;
    readonly receiver: string;
    readonly address_is_sender: boolean;
  }[];
  readonly flows: readonly TruthFlow[];
}

export interface TruthFlow {
  readonly src: string;
  readonly sport: number;
  readonly dst: string;
  readonly dport: number;
  readonly encap: string;
  readonly first_frame: number;
  readonly packets: number;
  readonly kinds: Readonly<Record<string, number>>;
  readonly is_media: boolean;
  readonly recognised_by: string;
  readonly dst_announced_before: boolean;
  readonly announced_by: readonly { readonly id: number; readonly frame: number }[];
  readonly verdict: string;
}

/** By the name of the capture. */
export function truths(): ReadonlyMap<string, Truth> {
  if (withoutShared !== false) return new Map();
  const directory = `${sharedDir}/captures/truth`;
  return new Map(
    readdirSync(directory).map((name): [string, Truth] => {
      const truth = JSON.parse(readFileSync(`${directory}/${name}`, 'utf8')) as Truth;
      return [truth.file, truth];
    }),
  );
}
