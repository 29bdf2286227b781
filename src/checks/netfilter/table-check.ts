/** The daemon's own table, as nft(8) lists it. */

import { setShapes } from '../../firewall/nftables/elements.ts';
import { NAT_CHAINS, PRIORITY, RECORDS } from '../../firewall/nftables/table.ts';
import { mapShapes } from '../../firewall/nftables/translations.ts';
import { caution, type Finding, fault, ok } from '../finding.ts';
import type { NftChain, NftTable } from './nft.ts';

interface TableCheckOptions {
  readonly table: string;
  readonly mark: number;
  readonly isRunning: boolean;
}

const HOOKS = ['forward', 'input', 'output'] as const;
const NAT_HOOKS = { dnat: 'prerouting', snat: 'postrouting' } as const;
const REPAIR = 'restart the daemon: it makes its table anew';

/** Whether the table is there and is what `addTable` makes: sets, chains, and the rules in them. */
export function checkTable(tables: readonly NftTable[], options: TableCheckOptions): Finding {
  const { table, mark, isRunning } = options;
  const found = tables.find(({ family, name }) => family === 'inet' && name === table);
  const name = `table inet ${table}`;
  if (found === undefined) {
    return isRunning
      ? fault(
          'table',
          `${name} is not there: no pinhole is open`,
          'the daemon runs in another network namespace; restart it',
        )
      : ok('table', `${name} is not there: the daemon makes it when it starts`);
  }
  if (!isRunning) {
    return caution(
      'table',
      `${name} is there without a daemon: pinholes in it stay open`,
      `start the daemon, which takes them up, or nft delete table inet ${table}`,
    );
  }
  const sets = [...setShapes.map(({ name }) => String(name)), RECORDS];
  const wrong = [
    ...sets.filter((set) => !found.sets.includes(set)).map((set) => `set ${set} is missing`),
    ...found.sets.filter((set) => !sets.includes(set)).map((set) => `set ${set} is not the daemon's`),
    ...HOOKS.flatMap((hook) =>
      wrongIn(
        found.chains.find((chain) => chain.name === hook),
        hook,
        mark,
      ),
    ),
    ...found.chains
      .filter(({ name }) => !(HOOKS as readonly string[]).includes(name))
      .flatMap((chain) => wrongInOther(chain)),
  ];
  if (wrong.length > 0) return fault('table', `${name}: ${wrong.join(', ')}`, REPAIR);
  const owner = found.flags.includes('owner') ? ', which nobody else can change' : '';
  return ok('table', `${name} is whole${owner}`);
}

function wrongIn(chain: NftChain | undefined, hook: (typeof HOOKS)[number], mark: number): string[] {
  if (chain === undefined) return [`chain ${hook} is missing`];
  const { base, statements } = chain;
  if (base?.hook !== hook || base.priority !== PRIORITY || base.policy !== 'accept') {
    return [`chain ${hook} is not at hook ${hook}, priority ${PRIORITY}`];
  }
  const looks = statements.map((rule) => lookOf(JSON.stringify(rule)));
  const rules = setShapes.map((shape) => `${shape.name}`);
  const missing = rules.filter((set) => !looks.some((look) => look?.set === set));
  const strange = looks.flatMap((look, at) =>
    look !== null && rules.includes(look.set) && looks.findIndex((one) => one?.set === look.set) === at
      ? []
      : [at + 1],
  );
  const marked = looks.filter((look) => look !== null && look.mark !== mark);
  return [
    ...missing.map((set) => `chain ${hook} lacks the rule for set ${set}`),
    ...strange.map((place) => `rule ${place} of chain ${hook} is not the daemon's`),
    ...(marked.length === 0 ? [] : [`chain ${hook} sets another mark than linux.mark`]),
  ];
}

/** A chain beside those of the hooks: one that translates (`addTranslation`), or none of the daemon's. */
function wrongInOther({ name, base, statements }: NftChain): string[] {
  const expected = NAT_CHAINS.find((chain) => chain.name === name);
  if (expected === undefined) return [`chain ${name} is not the daemon's`];
  const hook = NAT_HOOKS[expected.name];
  if (base?.hook !== hook || base.priority !== expected.priority || !base.translates) {
    return [`chain ${name} is not of type nat at hook ${hook}, priority ${expected.priority}`];
  }
  const maps = mapShapes.filter(({ kind }) => kind === name).map((shape) => `${shape.name}`);
  const looks = statements.map((rule) => /"data":"@([a-z_0-9]+)"/.exec(JSON.stringify(rule))?.[1]);
  const strange = looks.flatMap((map, at) =>
    map !== undefined && maps.includes(map) && looks.indexOf(map) === at ? [] : [at + 1],
  );
  return [
    ...maps.filter((map) => !looks.includes(map)).map((map) => `chain ${name} lacks the rule for map ${map}`),
    ...strange.map((place) => `rule ${place} of chain ${name} is not the daemon's`),
  ];
}

/** The set that a rule of the daemon looks into and the mark that it sets; null for another rule. */
function lookOf(rule: string): { readonly set: string; readonly mark: number } | null {
  const set = /"right":"@([a-z_0-9]+)"/.exec(rule)?.[1];
  const mark = /"\|":\[\{"meta":\{"key":"mark"\}\},(\d+)\]/.exec(rule)?.[1];
  return set === undefined || mark === undefined ? null : { set, mark: Number(mark) };
}
