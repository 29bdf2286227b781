import type { Libc } from '../../../native-bindings/engine.ts';
import { forEachRoute, type LinuxLink, listLinks } from '../../../native-bindings/linux/routes.ts';
import type { Ingress } from '../../address/ingress.ts';
import { createRouteCollector, type InsideSettings } from './collect.ts';

/** Interfaces and routes as rtnetlink(7) tells them. Throws SystemError; EINTR when they changed meanwhile. */
export function readLinuxIngress(libc: Libc, settings: InsideSettings): Ingress {
  const links = listLinks(libc);
  const names = new Map(links.map(({ index, name }) => [index, name]));
  const collector = createRouteCollector(settings);
  forEachRoute(libc, ({ bytes, prefix, interfaces, isLocal, hasGateway }) => {
    const through = interfaces.flatMap((index) => names.get(index) ?? []);
    collector.add(bytes, prefix, through, isLocal ? 'local' : hasGateway ? 'gateway' : 'on-link');
  });
  return {
    meant: new Map(links.map((link) => [link.index, meantBy(link, links)])),
    loopback: links.filter(({ isLoopback }) => isLoopback).map(({ name }) => name),
    named: settings.insideInterfaces,
    ...collector.collected(),
  };
}

/** A port of a bridge means the bridge as well, which has the addresses; a VRF means the interfaces in it. */
function meantBy({ index, name, master }: LinuxLink, links: readonly LinuxLink[]): string[] {
  const related = links.filter((other) => other.index === master || other.master === index);
  return [name, ...related.map((other) => other.name)];
}
