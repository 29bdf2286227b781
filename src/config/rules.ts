import { type Network, networkHas } from '../address/network.ts';
import { includesPort, isWithin, portsIn } from '../address/ports.ts';
import { formatTransportAddress, isLoopback, portRange } from './kinds.ts';
import { natFaults } from './nat.ts';
import type { Settings } from './schema.ts';
import { staticMediaFaults } from './static-media.ts';
import { uselessSettings } from './useless.ts';

/** A condition over several settings. */
interface SettingsRule {
  /** The keys it is about, as in a file; the first is where a breach is reported. */
  readonly keys: readonly [string, ...string[]];
  /** What is wrong and what was expected, or null. */
  readonly breach: (settings: Settings) => string | null;
}

/** What must hold between settings that are each valid. */
export const rules: readonly SettingsRule[] = [
  {
    keys: ['web', 'metrics'],
    breach: ({ web, metrics }) =>
      web !== null && metrics !== null && formatTransportAddress(web) === formatTransportAddress(metrics)
        ? 'expected another address or port than that of metrics'
        : null,
  },
  {
    keys: ['fail', 'inside-interfaces', 'freebsd.inside-interfaces', 'platform'],
    breach: (settings) => (settings.platform === 'freebsd' ? missingFailOpen(settings, 'freebsd') : null),
  },
  {
    keys: ['sip-ports', 'denied-ports', 'media-ports'],
    breach: (settings) => {
      const port = openSignallingPort(settings);
      return port === null
        ? null
        : `expected denied-ports to hold ${port}, which is in sip-ports and in media-ports: ` +
            'through a pinhole there, signalling would pass unread';
    },
  },
  {
    keys: ['peers', 'media-ports'],
    breach: ({ peers, mediaPorts }) => {
      const wide = peers.find((peer) => peer.mediaPorts?.some((range) => !isWithin(range, mediaPorts)));
      return wide === undefined
        ? null
        : `expected the media-ports of ${wide.name} inside the general media-ports ` +
            `(${mediaPorts.map(portRange.write).join(', ')})`;
    },
  },
  {
    keys: ['hep.listen', 'hep.from'],
    breach: ({ hep }) =>
      hep.listen !== null && hep.from.length === 0
        ? 'expected hep.from to name the hosts that may send copies'
        : null,
  },
  {
    keys: ['hep.listen', 'inside'],
    breach: ({ hep: { listen }, inside }) =>
      listen === null || isLoopback(listen) || inside.some((one) => networkHas(one, listen.address))
        ? null
        : `expected an address that is inside, or loopback: ${listen.address} is an outside one, where anybody could ` +
          'send copies',
  },
  {
    keys: ['hep.send', 'hep.listen', 'hep.transports'],
    breach: ({ hep: { send, listen, transports } }) =>
      send !== null &&
      listen !== null &&
      transports.includes('udp') &&
      formatTransportAddress(send) === formatTransportAddress(listen)
        ? 'expected another address or port than that of hep.listen: what is mirrored would come back as copies'
        : null,
  },
  {
    keys: ['hold-encrypted', 'hep.listen'],
    breach: ({ holdEncrypted, hep }) =>
      holdEncrypted !== null && hep.listen === null
        ? 'expected hep.listen to be set: no copy will come'
        : null,
  },
  {
    keys: ['intercept', 'strict', 'fail', 'on-firewall-error', 'hold-encrypted', 'platform'],
    breach: (settings) => {
      const what = settings.intercept === 'bpf' ? heldBy(settings) : null;
      return what === null ? null : `bpf only looks on: expected no ${what}, for which packets have to wait`;
    },
  },
  {
    keys: ['intercept', 'inside-interfaces', 'freebsd.inside-interfaces', 'platform'],
    breach: (settings) => (settings.platform === 'freebsd' ? missingPassive(settings, 'freebsd') : null),
  },
  {
    keys: ['control.mode', 'control.group'],
    breach: ({ control }) =>
      (control.mode & 0o060) !== 0 && control.group === null
        ? 'expected control.group to name the group that the mode admits'
        : null,
  },
];

/** A setting by which packets are held or dropped. */
function heldBy({ strict, fail, onFirewallError, holdEncrypted }: Settings): string | null {
  if (strict) return 'strict';
  if (fail === 'open') return 'fail: open';
  if (onFirewallError === 'drop') return 'on-firewall-error: drop';
  return holdEncrypted === null ? null : 'hold-encrypted';
}

/** What is known of the machine that a configuration is for. */
export interface ConfiguredMachine {
  readonly hasInterface: (name: string) => boolean;
}

/** A fault of one item in a list. */
interface PlacedFault {
  /** `nat[0].hosts[1]`, counting the items of `settings`. */
  readonly key: string;
  /** Other settings that it is a fault beside: where one of them is at fault itself, it may be none. */
  readonly beside: readonly string[];
  readonly message: string;
}

/** What is wrong with single items beside other settings, and beside the machine where one is given. */
export function placedFaults(settings: Settings, machine: ConfiguredMachine | null): PlacedFault[] {
  const { nat, uplinks, inside } = settings;
  const faults = [
    ...natFaults(nat, inside).map(({ index, at, expected }) => ({
      key: `nat[${index}].${at}`,
      beside: ['inside'],
      expected,
    })),
    ...staticMediaFaults(settings),
  ].map(({ key, beside, expected }): PlacedFault => ({ key, beside, message: `expected ${expected}` }));
  if (machine === null) return faults;
  const named = [
    ...nat.map(({ external }, index) => ({
      key: `nat[${index}].external`,
      name: 'interface' in external ? external.interface : null,
    })),
    ...uplinks.map(({ interface: name }, index) => ({ key: `uplinks[${index}].interface`, name })),
  ];
  for (const { key, name } of named) {
    if (name === null || machine.hasInterface(name)) continue;
    faults.push({ key, beside: [], message: `expected an interface of this machine, found ${name}` });
  }
  return faults;
}

function openSignallingPort({ sipPorts, mediaPorts, deniedPorts }: Settings): number | null {
  for (const [first, last] of sipPorts) {
    for (let port = first; port <= last; port++) {
      if (includesPort(mediaPorts, port) && !includesPort(deniedPorts, port)) return port;
    }
  }
  return null;
}

type PlatformName = 'freebsd' | 'linux';

function missingFailOpen(settings: Settings, platform: PlatformName): string | null {
  return platform === 'freebsd' && settings.fail === 'open' && divertInterfaces(settings).length === 0
    ? 'open needs inside-interfaces: the daemon loads the divert rules itself and has to know where'
    : null;
}

function missingPassive(settings: Settings, platform: PlatformName): string | null {
  return platform === 'freebsd' && settings.intercept === 'bpf' && divertInterfaces(settings).length === 0
    ? 'bpf needs inside-interfaces: bpf(4) reads one interface, and it has to be known which'
    : null;
}

/**
 * Why these settings cannot run on this platform, or null. `platform: auto` is resolved only at the start, so
 * the daemon asks this, too.
 */
export function missingInterfaces(settings: Settings, platform: PlatformName): string | null {
  const failOpen = missingFailOpen(settings, platform);
  if (failOpen !== null) return `fail: ${failOpen}`;
  const passive = missingPassive(settings, platform);
  return passive === null ? null : `intercept: ${passive}`;
}

/** Where the divert rules stand on FreeBSD; empty where the settings do not say. */
export function divertInterfaces({ freebsd, insideInterfaces }: Settings): readonly string[] {
  return freebsd.insideInterfaces.length > 0 ? freebsd.insideInterfaces : insideInterfaces;
}

/** More ports than any PBX and its telephones share out. */
const MANY_PORTS = 32_768;

/** More hosts than a site gives to telephones. */
function isWide({ family, prefix }: Network): boolean {
  return prefix > 0 && prefix <= (family === 4 ? 12 : 32);
}

const USUAL_SIP_PORT = 5060;

/** Settings that are about TLS, where no port is handed over that usually has any. */
function expectingTls({ sipPorts, staticMedia, holdEncrypted }: Settings): string[] {
  if (sipPorts.some(([first, last]) => first !== USUAL_SIP_PORT || last !== USUAL_SIP_PORT)) return [];
  return [
    ...(staticMedia.length > 0 ? ['static-media'] : []),
    ...(holdEncrypted !== null ? ['hold-encrypted'] : []),
  ];
}

/** What is allowed but wider than most would want, or does nothing, one sentence each, for `check` and for the log at the start. */
export function cautions(settings: Settings): string[] {
  const found: string[] = [];
  const everywhere = settings.inside.filter((network) => network.prefix === 0);
  for (const { text } of everywhere) {
    found.push(`inside: ${text} is everybody: outside hosts may have pinholes opened towards themselves`);
  }
  if (settings.intercept === 'bpf') {
    found.push('intercept: bpf: nothing waits for its pinholes, and media that comes first is lost');
  }
  if (settings.mode === 'observe') found.push('mode: observe: not one pinhole is opened');
  const wide = settings.inside.filter(isWide);
  if (everywhere.length === 0 && wide.length > 0 && portsIn(settings.mediaPorts) > MANY_PORTS) {
    const many = wide.map(({ text }) => text).join(', ');
    found.push(
      `inside, media-ports: every desktop in ${many} counts as a SIP host, and nearly every port of it as one for media: ` +
        'who makes it send SIP opens ports of it. Two lines narrow that to your PBX and telephones, such as ' +
        '"inside: [192.168.10.0/24]" and "media-ports: [10000-20000]"',
    );
  }
  for (const { name, mediaSource } of settings.peers) {
    if (mediaSource !== 'any') continue;
    found.push(`peers: ${name}: media-source: any lets everybody send to the media ports of its calls`);
  }
  if (settings.earlyMediaSource === 'any') {
    found.push('early-media-source: any lets everybody send to an offered port until the answer');
  }
  if (settings.mediaSource === 'any') {
    found.push('media-source: any lets everybody send to the media ports of a call for as long as it lasts');
  }
  if (settings.mediaPorts.some(([first]) => first < 1024)) {
    found.push('media-ports: ports below 1024 belong to services');
  }
  if (settings.metrics !== null && !isLoopback(settings.metrics)) {
    found.push('metrics: everybody who can reach this address can read them; there is no password');
  }
  if (settings.hep.listen !== null && settings.hep.passwordFile === null) {
    found.push(
      'hep: without password-file, whoever can send with the address of a host in hep.from has ports of that host opened',
    );
  }
  for (const key of expectingTls(settings)) {
    found.push(
      `${key}: sip-ports has ${USUAL_SIP_PORT} alone: TLS on another port, as 5061, is not seen. Add the port, and have your ` +
        'ruleset hand it over, too',
    );
  }
  if (settings.outbound) {
    for (const { name, hosts } of settings.staticMedia) {
      found.push(
        `static-media: ${name}: outbound does not open the way to its peers, as nobody knows where they listen: what ` +
          `${hosts.join(', ')} sends before it is sent anything needs the line that "pinholed rules" prints`,
      );
    }
  }
  found.push(...uselessSettings(settings));
  if (settings.daemon.user === 'root') found.push('daemon.user: packets will be read with all privileges');
  return found;
}
