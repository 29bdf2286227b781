import type { Libc } from '../../../native-bindings/engine.ts';
import { openInterfaces } from '../../../native-bindings/freebsd/interfaces.ts';
import { forEachRoute } from '../../../native-bindings/freebsd/routes.ts';
import type { Ingress } from '../../address/ingress.ts';
import { createRouteCollector, type InsideSettings } from './collect.ts';

/** Characters of an interface's name that divert(4) has room for. */
const NAME_ROOM = 7;

/** What a packet says of the interface that it came in through. */
export function enteredThrough(name: string): string {
  return name.slice(0, NAME_ROOM);
}

/** Interfaces and routes as ioctl(2) and sysctl(3) tell them. Throws SystemError. */
export function readFreebsdIngress(libc: Libc, settings: InsideSettings): Ingress {
  const names = interfaceNames(libc);
  const byIndex = new Map(names.map((name) => [libc.if_nametoindex(name), name]));
  const loopback = names.filter((name) => /^lo\d+$/.test(name));
  const collector = createRouteCollector(settings);
  forEachRoute(libc, ({ bytes, prefix, interface: index, hasGateway }) => {
    const name = byIndex.get(index);
    if (name === undefined) return;
    const kind = loopback.includes(name) ? 'local' : hasGateway ? 'gateway' : 'on-link';
    collector.add(bytes, prefix, [name], kind);
  });
  return { meant: meantBy(names), loopback, named: settings.insideInterfaces, ...collector.collected() };
}

function interfaceNames(libc: Libc): string[] {
  const interfaces = openInterfaces(libc);
  try {
    return interfaces.names();
  } finally {
    interfaces.close();
  }
}

/** Names by what a diverted packet has room for of them. */
function meantBy(names: readonly string[]): Map<string, string[]> {
  const meant = new Map<string, string[]>();
  for (const name of names) {
    const short = enteredThrough(name);
    const found = meant.get(short);
    if (found === undefined) meant.set(short, [name]);
    else found.push(name);
  }
  return meant;
}
