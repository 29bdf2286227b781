import { release } from 'node:os';
import { divertInterfaces } from '../../config/rules.ts';
import type { PortRange, Settings } from '../../config/schema.ts';

/**
 * The lines for pf.conf(5). `file` is the configuration they are made from, null for the defaults; `found` are the
 * interfaces of this machine that have inside addresses, for settings that name none.
 */
export function pfRules(settings: Settings, file: string | null, found: readonly string[]): string {
  const { freebsd, sipPorts, mediaPorts, fail, tcpMedia } = settings;
  const { anchor, divertPort, shards, tag } = freebsd;
  const configured = divertInterfaces(settings);
  const named = configured.length > 0 ? configured : found;
  const inside = named.length > 0 ? named : ['em1'];
  const sip = `${family()}proto { tcp udp } to port ${ports(sipPorts)}`;
  const divert =
    fail === 'open'
      ? [
          '# SIP from and to the inside hosts goes through the daemon, which loads the rules for it here while it runs.',
          `anchor "${anchor}/divert"`,
        ]
      : [
          '# SIP from and to the inside hosts goes through the daemon: each packet once, in both directions.',
          `pass in quick on $inside ${sip} divert-to ${divertPort}`,
          `pass out quick on $inside ${sip} divert-to ${divertPort}`,
        ];
  const tagged =
    tag === null
      ? []
      : ['# The rules of pinholes only tag. This one lets media pass.', `pass quick proto udp tagged ${tag}`];
  return `${[
    `# pf.conf(5) for pinholed(8), made from ${file ?? 'its defaults'} by "pinholed rules".`,
    '',
    '# Among the options, at the beginning. SIP that came in fragments is put together again.',
    'set reassemble yes',
    ...(before15()
      ? []
      : [
          '# Room for the anchors of the daemon beside others; FreeBSD 14 has no such limit.',
          `set limit anchors ${512 + shards}`,
        ]),
    '',
    ...(named.length > 0 ? [] : ['# The interface towards your telephones: change it.']),
    `inside = "{ ${inside.join(' ')} }"`,
    '',
    '# Among the filter rules, before any of yours that is quick and has to do with these ports.',
    ...divert,
    '# Pinholes. The daemon fills this anchor.',
    `anchor "${anchor}" proto ${tcpMedia ? '{ tcp udp }' : 'udp'} to port ${ports(mediaPorts)}`,
    ...tagged,
    '',
    '# Flows that have a state already are not diverted. After the first load kill those of your PBX or phones,',
    '# pfctl -k HOST and pfctl -k 0.0.0.0/0 -k HOST; or all, which ends your own connection as well: pfctl -F states.',
    '',
    '# On the outside SIP has to pass, with no divert-to there; whom you let in is up to you:',
    `# pass in quick on $outside ${sip}`,
    `# pass out quick on $outside ${sip}`,
  ].join('\n')}\n`;
}

/** Before FreeBSD 15 divert-to does nothing for IPv6. */
function family(): string {
  return before15() ? 'inet ' : '';
}

function before15(): boolean {
  return process.platform === 'freebsd' && Number.parseInt(release(), 10) < 15;
}

function ports(ranges: readonly PortRange[]): string {
  const texts = ranges.map(([first, last]) => (first === last ? `${first}` : `${first}:${last}`));
  return texts.length === 1 ? texts[0]! : `{ ${texts.join(' ')} }`;
}
