/** A table of nftables as nft(8) lists it. */
export interface ListedTable {
  /** `inet filter` */
  readonly name: string;
  /** As it is loaded into the copy: without what would bind it to the process that loads it. */
  readonly text: string;
  /** It is of iptables-nft(8), whose matches nft(8) does not read back. */
  readonly isForeign: boolean;
}

/** `table inet filter {`; behind the brace is who owns it: `# progname firewalld`. */
const HEAD = /^table (\S+ \S+) \{(?: #.*)?$/;
const CHAIN = /^\tchain (\S+) \{/;
const FLAGS = /^\tflags\b(.*)$/;
const MANAGED = /^# Warning: table (\S+ \S+) is managed by iptables-nft/gm;
const FOREIGN = /(?:^|[\t ])xt (?:match|target) /;

/**
 * The tables of a listing, each from its `table` to the brace that ends it. `warnings` is what nft(8) has written to
 * standard error beside it, which names the tables of iptables-nft.
 */
export function tablesIn(listing: string, warnings = ''): ListedTable[] {
  const managed = new Set([...`${warnings}\n${listing}`.matchAll(MANAGED)].map(([, name]) => name!));
  const found: ListedTable[] = [];
  let lines: string[] = [];
  let name = '';
  for (const line of listing.split('\n')) {
    const head = HEAD.exec(line);
    if (head !== null) {
      name = head[1]!;
      lines = [`table ${name} {`];
      continue;
    }
    if (name === '') continue;
    const flags = FLAGS.exec(line);
    if (flags !== null) {
      if (isDormant(flags[1]!)) lines.push('\tflags dormant');
      continue;
    }
    lines.push(line);
    if (line !== '}') continue;
    const isForeign = managed.has(name) || lines.some((one) => FOREIGN.test(withoutTexts(one)));
    found.push({ name, text: `${lines.join('\n')}\n`, isForeign });
    name = '';
  }
  return found;
}

/** Of the flags of a table the only one that says what it does; `owner` and `persist` are about who loaded it. */
function isDormant(flags: string): boolean {
  return flags.split(/[\s,;]+/).includes('dormant');
}

/** Comments and prefixes of log lines may hold any words. */
function withoutTexts(line: string): string {
  return line.replace(/"[^"]*"/g, '""');
}

/** What of these tables has not arrived, for a sentence: `table inet filter`, `chain forward of table inet filter`. */
export function missingOf(tables: readonly ListedTable[], arrived: readonly ListedTable[]): string[] {
  return tables.flatMap(({ name, text }) => {
    const there = arrived.find((one) => one.name === name);
    if (there === undefined) return [`table ${name}`];
    const chains = rulesOf(there.text);
    return [...rulesOf(text).keys()].flatMap((chain) =>
      chains.has(chain) ? [] : [`chain ${chain} of table ${name}`],
    );
  });
}

/** The first line of these tables that is another one where they have arrived; null where there is none. */
export function changedLine(
  tables: readonly ListedTable[],
  arrived: readonly ListedTable[],
): { readonly table: string; readonly line: string } | null {
  for (const { name, text } of tables) {
    const there = arrived.find((one) => one.name === name);
    const chains = rulesOf(there?.text ?? '');
    for (const [chain, lines] of rulesOf(text)) {
      const others = chains.get(chain) ?? [];
      const line = lines.find((one, index) => one !== others[index]) ?? others[lines.length];
      if (line !== undefined) return { table: name, line };
    }
  }
  return null;
}

/** The lines of each chain; what is in sets changes by itself. */
function rulesOf(text: string): ReadonlyMap<string, readonly string[]> {
  const chains = new Map<string, string[]>();
  let lines: string[] | null = null;
  for (const line of text.split('\n')) {
    const chain = CHAIN.exec(line);
    if (chain !== null) {
      lines = [];
      chains.set(chain[1]!, lines);
    } else if (line === '\t}') lines = null;
    else lines?.push(line.trim());
  }
  return chains;
}

/** The line of what a program was to load that it complains of, and why; null where it names none. */
export function faultyLine(
  complaint: string,
  rules: string,
): { readonly line: string; readonly reason: string } | null {
  const nft = /^[^\s:]+:([0-9]{1,9}):[0-9]+(?:-[0-9]+)?: Error: (.*)$/m.exec(complaint);
  const number = nft?.[1] ?? /(?:occurred at line|: line):? ([0-9]{1,9})\b/.exec(complaint)?.[1];
  const line = number === undefined ? undefined : rules.split('\n')[Number(number) - 1]?.trim();
  if (line === undefined || line === '') return null;
  return { line, reason: nft?.[2] ?? complaint.trim().split('\n', 1)[0]! };
}
