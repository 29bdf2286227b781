/** A table of nftables as nft(8) lists it. */
export interface ListedTable {
  /** `inet filter` */
  readonly name: string;
  /** As it is loaded into the copy: without what would bind it to the process that loads it. */
  readonly text: string;
  /** It is of iptables-nft(8), whose matches nft(8) does not read back. */
  readonly isForeign: boolean;
}

const HEAD = 'table ';
const FLAGS = '\tflags';
const FOREIGN = /[\t ]xt (?:match|target) /;
const CHAIN = '\tchain ';
const MANAGED = ['# Warning: table ', ' is managed by iptables-nft'] as const;

/**
 * The tables of a listing, each from its `table` to the brace that ends it. `warnings` is what nft(8) has written to
 * standard error beside it, which names the tables of iptables-nft.
 */
export function tablesIn(listing: string, warnings = ''): ListedTable[] {
  const managed = managedTables(`${warnings}\n${listing}`);
  const found: ListedTable[] = [];
  let lines: string[] = [];
  let name = '';
  for (const line of listing.split('\n')) {
    const head = nameIn(line);
    if (head !== null) {
      name = head;
      lines = [`table ${name} {`];
      continue;
    }
    if (name === '') continue;
    if (line.startsWith(FLAGS)) {
      if (isDormant(line)) lines.push('\tflags dormant');
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

/** Of a line that begins a table. Behind its brace is who owns it: `table inet filter { # progname firewalld`. */
function nameIn(line: string): string | null {
  const brace = line.indexOf(' {');
  return line.startsWith(HEAD) && brace > 0 ? line.slice(HEAD.length, brace) : null;
}

function managedTables(text: string): ReadonlySet<string> {
  const [before, behind] = MANAGED;
  const lines = text.split('\n').filter((line) => line.startsWith(before) && line.includes(behind));
  return new Set(lines.map((line) => line.slice(before.length, line.indexOf(behind))));
}

/** The only flag of a table that says what it does; `owner` and `persist` are about who loaded it. */
function isDormant(line: string): boolean {
  return line.split(/[\s,;]/).includes('dormant');
}

/** Comments and prefixes of log lines may hold any words. */
function withoutTexts(line: string): string {
  return line
    .split('"')
    .filter((_, index) => index % 2 === 0)
    .join('""');
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
    if (line.startsWith(CHAIN)) {
      lines = [];
      chains.set(line.slice(CHAIN.length, line.indexOf(' {')), lines);
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
  const nft = /:([0-9]{1,9}):[0-9-]{1,20}: Error: /.exec(complaint);
  const number = nft?.[1] ?? /(?:occurred at line|: line):? ([0-9]{1,9})\b/.exec(complaint)?.[1];
  const line = number === undefined ? undefined : rules.split('\n')[Number(number) - 1]?.trim();
  if (line === undefined || line === '') return null;
  const why = nft === null ? complaint.trim() : complaint.slice(nft.index + nft[0].length);
  return { line, reason: why.split('\n', 1)[0]! };
}
