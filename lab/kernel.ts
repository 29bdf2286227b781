import type { Topology } from './topology.ts';

/** What the firewall's kernel holds for calls, as nft(8) and /proc say. */
export interface KernelState {
  /** `udp 10.0.2.10 > 10.0.1.10 4000` for each element, sorted; `*` is any source. */
  readonly elements: readonly string[];
  /** The lines that tell pinholes, without their label. */
  readonly records: readonly string[];
}

/** `dnat4 udp 10.0.2.10 10.0.2.200 4000 is 10.0.1.10` for each element of the maps that translate, sorted. */
export function translations({ firewall }: Pick<Topology, 'firewall'>): string[] {
  const { nftables } = JSON.parse(firewall('nft', '-j', 'list', 'maps')) as {
    readonly nftables: readonly { readonly map?: ListedMap }[];
  };
  return nftables
    .flatMap(({ map }) =>
      map?.table === TABLE
        ? (map.elem ?? []).map(([key, value]) => `${map.name} ${key.concat.join(' ')} is ${value}`)
        : [],
    )
    .sort();
}

interface ListedMap {
  readonly name: string;
  readonly table: string;
  readonly elem?: readonly (readonly [{ readonly concat: readonly (string | number)[] }, string])[];
}

interface ListedSet {
  readonly name: string;
  readonly elem?: readonly { readonly elem?: ListedElement }[];
}

interface ListedElement {
  readonly val: { readonly concat: readonly (string | number)[] };
  readonly comment?: string;
}

const TABLE = 'pinholed';

/** Reads the daemon's table with nft(8); both lists are empty where there is none. */
export function kernelState({ firewall }: Pick<Topology, 'firewall'>): KernelState {
  const elements: string[] = [];
  const records: string[] = [];
  if (!firewall('nft', 'list', 'tables').includes(`inet ${TABLE}`)) return { elements, records };
  const { nftables } = JSON.parse(firewall('nft', '-j', 'list', 'table', 'inet', TABLE)) as {
    readonly nftables: readonly { readonly set?: ListedSet }[];
  };
  for (const { set } of nftables) {
    for (const entry of set?.elem ?? []) {
      const { val, comment } = entry.elem ?? (entry as unknown as ListedElement);
      if (set!.name === 'pinholes') records.push(comment!.split(' ').slice(1).join(' '));
      else elements.push(describe(set!.name, val.concat));
    }
  }
  return { elements: elements.sort(), records: records.sort() };
}

function describe(set: string, [protocol, ...fields]: readonly (string | number)[]): string {
  const source = set.startsWith('source') ? fields.shift() : '*';
  const port = set.includes('_port') ? `:${fields.shift()}` : '';
  return `${protocol} ${source}${port} > ${fields.join(' ')}`;
}

/** Conntrack entries of anything but SIP and what the hosts' own stacks send. */
export function mediaFlows({ firewall }: Pick<Topology, 'firewall'>): string[] {
  return firewall('cat', '/proc/net/nf_conntrack')
    .split('\n')
    .filter((line) => /\b(udp|tcp)\b/.test(line) && !/port=5060\b/.test(line));
}

/** Waits until `look` gives what is wanted; throws with what it gave last after five seconds. */
export async function eventually<T>(look: () => T, wanted: (value: T) => boolean): Promise<void> {
  const until = performance.now() + 5000;
  for (;;) {
    const value = look();
    if (wanted(value)) return;
    if (performance.now() > until) throw new Error(`still ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
