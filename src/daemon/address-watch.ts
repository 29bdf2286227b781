import type { Address } from '../address/address.ts';
import type { Settings } from '../config/schema.ts';
import type { InterfaceAddresses } from '../policy/external.ts';

/** Follows the addresses of the interfaces that `nat` names. */
export interface AddressWatch {
  /** As found last. */
  readonly latest: InterfaceAddresses;
  /** Looks now. */
  look(): void;
  end(): void;
}

interface AddressWatchOptions {
  /** Interfaces that are asked for. */
  readonly names: () => readonly string[];
  /** Addresses that the system's interfaces have now, by name. */
  readonly read: () => ReadonlyMap<string, readonly Address[]>;
  readonly say: (level: 'info' | 'warn', text: string) => void;
  readonly changed: (addresses: InterfaceAddresses) => void;
}

/** Interfaces whose addresses stand for inside hosts. */
export function natInterfaces({ nat }: Pick<Settings, 'nat'>): string[] {
  return [...new Set(nat.flatMap(({ external }) => ('interface' in external ? [external.interface] : [])))];
}

/** ms between two looks: a new address is used this soon. */
const EVERY = 1000;

/**
 * Looks at once, then every second, off the data path. An interface that has no address for the moment (a link that
 * is dialled anew) keeps the one it had: it may come back with it.
 */
export function createAddressWatch({ names, read, say, changed }: AddressWatchOptions): AddressWatch {
  let latest: InterfaceAddresses = {};
  let known = '{}';

  function look(): void {
    const wanted = names();
    if (wanted.length === 0 && known === '{}') return;
    const found = read();
    const next: Record<string, readonly Address[]> = {};
    for (const name of wanted) {
      const now = found.get(name) ?? [];
      next[name] = now.length === 0 ? (latest[name] ?? []) : now;
    }
    const text = JSON.stringify(next);
    if (text === known) return;
    for (const name of wanted) tell(name, latest[name] ?? [], next[name]!);
    known = text;
    latest = next;
    changed(next);
  }

  function tell(name: string, before: readonly Address[], now: readonly Address[]): void {
    if (before.join() === now.join()) return;
    const was = before.length === 0 ? '' : `, no longer ${before.join(', ')}`;
    say('info', `nat: the external address of ${name} is ${now.join(', ')}${was}`);
  }

  look();
  for (const name of names()) {
    if (latest[name]!.length === 0) say('warn', `nat: ${name} has no address yet`);
  }
  const timer = setInterval(look, EVERY);
  timer.unref();
  return {
    get latest() {
      return latest;
    },
    look,
    end: () => clearInterval(timer),
  };
}
