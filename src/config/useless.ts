import type { TransportAddress } from '../address/address.ts';
import { isCovered, type Network, parseNetwork } from '../address/network.ts';
import { includesPort } from '../address/ports.ts';
import { isLoopback } from './kinds.ts';
import type { Settings } from './schema.ts';

/** Settings that do nothing as the others are, or are at odds with them, one sentence each. */
export function uselessSettings(settings: Settings): string[] {
  return [
    ...withoutStore(settings),
    ...inClear(settings),
    ...withoutListening(settings),
    ...notInside(settings),
    ...onSipPorts(settings),
    ...(settings.metrics === null && settings.metricsHosts.length > 0
      ? ['metrics-hosts: metrics is off: nobody is answered']
      : []),
  ];
}

/** Keys of those that are set. */
function given(keys: Readonly<Record<string, boolean>>): string[] {
  return Object.entries(keys).flatMap(([key, isSet]) => (isSet ? [key] : []));
}

function withoutStore({ peersStore }: Settings): string[] {
  const { url, others, sentinel, passwordFile, tls, confirm } = peersStore;
  if (url !== null) return [];
  const keys = given({
    'peers-store.others': others.length > 0,
    'peers-store.sentinel': sentinel !== null,
    'peers-store.password-file': passwordFile !== null,
    'peers-store.tls': Object.values(tls).some((value) => value !== null),
    'peers-store.confirm': confirm === 'peers',
  });
  return keys.length === 0
    ? []
    : [`${keys.join(', ')}: peers-store.url is off: calls are shared with nobody`];
}

function inClear({ peersStore: { url, others, tls } }: Settings): string[] {
  if (url === null) return [];
  const clear = [url, ...others].filter((one) => one.startsWith('redis:')).length;
  if (clear > 0 && clear <= others.length) {
    return [
      'peers-store.others: some have redis:// and some rediss://: calls and the password go in clear to the former',
    ];
  }
  return clear > 0 && Object.values(tls).some((value) => value !== null)
    ? ['peers-store.tls: the store is spoken to in clear: TLS is for rediss:// alone']
    : [];
}

function withoutListening({ hep: { listen, send, from, speaksFor, passwordFile } }: Settings): string[] {
  if (listen !== null) return [];
  const keys = given({
    'hep.from': from.length > 0,
    'hep.speaks-for': speaksFor.length > 0,
    'hep.password-file': passwordFile !== null && send === null,
  });
  return keys.length === 0 ? [] : [`${keys.join(', ')}: hep.listen is off: no copy will come`];
}

const LOOPBACK = ['127.0.0.0/8', '::1/128'].map((text) => parseNetwork(text)!);

function notInside({ hep, inside }: Settings): string[] {
  if (hep.listen === null) return [];
  const outOf = (networks: readonly Network[], others: readonly Network[]) =>
    networks.filter((one) => !isCovered(one, others)).map(({ text }) => text);
  return [
    { key: 'hep.from', found: outOf(hep.from, [...inside, ...LOOPBACK]) },
    { key: 'hep.speaks-for', found: outOf(hep.speaksFor, inside) },
  ].flatMap(({ key, found }) =>
    found.length === 0
      ? []
      : [
          `${key}: ${found.join(', ')}: what is not inside has no ports opened, whoever sends a copy of its calls`,
        ],
  );
}

/** Loopback is on no way that packets are taken from. */
function onSipPorts({ hep, metrics, sipPorts }: Settings): string[] {
  const endpoints: readonly (readonly [key: string, at: TransportAddress | null])[] = [
    ['hep.listen', hep.listen],
    ['hep.send', hep.send],
    ['metrics', metrics],
  ];
  return endpoints.flatMap(([key, at]) =>
    at !== null && !isLoopback(at) && includesPort(sipPorts, at.port)
      ? [`${key}: ${at.port} is one of sip-ports: what is sent there may be taken for SIP. Take another port`]
      : [],
  );
}
