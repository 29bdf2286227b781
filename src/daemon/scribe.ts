import { createHash } from 'node:crypto';
import { hostname, networkInterfaces } from 'node:os';
import type { Scribe } from '../inspector/record.ts';
import { bootId } from './clock.ts';

/** Asks the system who writes. To be called before anything of it is out of reach. */
export function identify(): Pick<Scribe, 'machine' | 'boot'> {
  return { machine: machineId(hostname(), hardwareAddresses()), boot: bootId() };
}

/** The same on each start, and of two machines with one name not the same. */
function machineId(name: string, hardware: readonly string[]): string {
  const first = [...hardware].sort()[0] ?? '';
  return createHash('sha256').update(`${name} ${first}`).digest('hex').slice(0, 8);
}

/** Who a firewall is among those that it shares its calls with: two of one machine go by their names. */
export function memberId({ machine }: Pick<Scribe, 'machine'>, name: string | null): string {
  return name === null ? machine : machineId(name, [machine]);
}

function hardwareAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.map(({ mac }) => mac).filter((mac) => mac !== '00:00:00:00:00:00');
}
