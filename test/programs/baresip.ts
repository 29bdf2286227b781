/** baresip(1), a phone: its configuration, and its menu by standard input. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Datagram } from '../../lab/demo/capture.ts';
import { addressOf, type HostName, type Topology } from '../../lab/topology.ts';
import { makeCertificate } from './certificate.ts';
import { type Program, temporaryDirectory, watch } from './programs.ts';

export interface PhoneOptions {
  readonly video?: boolean;
  /** Offers and accepts a=rtcp-mux (RFC 5761). */
  readonly mux?: boolean;
  /** Interactive connectivity establishment (RFC 8445) with host candidates. */
  readonly ice?: boolean;
  /** Signals over TLS on port 5061, with a certificate of its own. */
  readonly tls?: boolean;
  /** Sends its calls there. */
  readonly proxy?: string;
}

export interface Phone extends Program {
  readonly address: string;
  /** What others dial. */
  readonly uri: string;
}

const MODULES = '/usr/lib/baresip/modules';

/** Starts a phone on a host: it answers by itself, sends a tone, and listens to nobody. */
export async function startPhone(
  topology: Topology,
  host: HostName,
  options: PhoneOptions = {},
): Promise<Phone> {
  const { video = false, mux = false, ice = false, tls = false, proxy } = options;
  const address = addressOf(host);
  const directory = temporaryDirectory();
  const modules = ['stdio', 'g711', 'ausine', 'aufile', ...(video ? ['vp8', 'fakevideo'] : []), 'ice'];
  writeFileSync(
    join(directory, 'config'),
    [
      'poll_method epoll',
      `sip_listen ${address}:5060`,
      ...(tls ? [`sip_certificate ${makeCertificate(address).both}`] : []),
      'audio_source ausine,440',
      `audio_player aufile,${join(directory, 'heard.wav')}`,
      ...['ausrc_srate 48000', 'auplay_srate 48000', 'ausrc_channels 2', 'auplay_channels 2'],
      ...(video ? ['video_source fakevideo', 'video_display fakevideo'] : []),
      'rtp_ports 10000-20000',
      `rtcp_mux ${mux ? 'yes' : 'no'}`,
      `module_path ${MODULES}`,
      ...modules.map((name) => `module ${name}.so`),
      ...['module_tmp account.so', 'module_app menu.so', ''],
    ].join('\n'),
  );
  const transport = tls ? ';transport=tls' : '';
  const account = [
    `<sip:${host}@${address}${transport}>;regint=0;answermode=auto;audio_codecs=PCMA`,
    ...(ice ? ['medianat=ice'] : []),
    ...(proxy === undefined ? [] : [`outbound="sip:${proxy}${tls ? ':5061' : ''}${transport}"`]),
  ];
  writeFileSync(join(directory, 'accounts'), `${account.join(';')}\n`);
  writeFileSync(join(directory, 'contacts'), '');
  const phone = watch(topology.spawn(host, 'baresip', '-4', '-f', directory));
  await phone.said(/baresip is ready/);
  return { ...phone, address, uri: `sip:${host}@${address}${tls ? ':5061' : ''}` };
}

/** An m= line of the last session description that a host sent. */
export interface Announced {
  readonly media: string;
  readonly port: number;
  readonly mux: boolean;
  /** Where it wants media: the address of its c= line and of its ICE candidates. */
  readonly addresses: readonly string[];
  /** From where it may send media: these, and the address it signals from. */
  readonly sources: readonly string[];
}

/** The streams that `address` announced last, read from what tcpdump saw. */
export function announcedBy(datagrams: readonly Datagram[], address: string): Announced[] {
  const described = datagrams.filter(
    ({ source, sourcePort, payload }) =>
      source === address && sourcePort === 5060 && payload.includes('\r\nm='),
  );
  const text = described.at(-1)?.payload.toString('latin1') ?? '';
  const [session = '', ...sections] = text.split('\r\nm=');
  return sections
    .map((section) => {
      const [media = '', port = ''] = section.split(' ');
      const connection = (/\r\nc=IN IP4 (\S+)/.exec(section) ?? /\r\nc=IN IP4 (\S+)/.exec(session))?.[1];
      const candidates = [...section.matchAll(/\r\na=candidate:\S+ 1 UDP \S+ (\S+) /g)].map(
        ([, one]) => one!,
      );
      const addresses = [...new Set([connection ?? address, ...candidates])];
      const sources = [...new Set([address, ...addresses])];
      return { media, port: Number(port), mux: section.includes('\r\na=rtcp-mux'), addresses, sources };
    })
    .filter(({ port }) => port > 0);
}

/** The elements that the last descriptions of `a` and `b` to each other ask for. */
export function elementsBetween(datagrams: readonly Datagram[], a: string, b: string): string[] {
  const [ofA, ofB] = [announcedBy(datagrams, a), announcedBy(datagrams, b)];
  return [...towards(ofA, ofB), ...towards(ofB, ofA)].sort();
}

/** Each stream to all addresses of its host, from all of its peer's; a port for RTCP unless both have rtcp-mux. */
function towards(streams: readonly Announced[], peers: readonly Announced[]): string[] {
  return streams.flatMap(({ port, mux, addresses }, n) => {
    const peer = peers[n];
    const ports = mux && peer?.mux ? [port] : [port, port + 1];
    return addresses.flatMap((to) =>
      (peer?.sources ?? []).flatMap((from) => ports.map((one) => `udp ${from} > ${to} ${one}`)),
    );
  });
}

/** How many INVITEs were answered with 200. */
export function answers(datagrams: readonly Datagram[]): number {
  const texts = datagrams.map(({ payload }) => payload.toString('latin1'));
  return texts.filter((text) => text.startsWith('SIP/2.0 200 ') && /\r\nCSeq: [0-9]+ INVITE\r\n/.test(text))
    .length;
}
