import type { PortRange } from '../../address/ports.ts';
import type { Settings } from '../../config/schema.ts';
import { byTranslator, externalOf, hostsOf } from './nat.ts';
import { wayToStaticPeers } from './static-media.ts';

/**
 * The lines for nft(8): a table that hands SIP to the daemon, and what the administrator's own chain has to accept.
 * `file` is the configuration they are made from, null for the defaults.
 */
export function nftablesRules(settings: Settings, file: string | null): string {
  const { linux, sipPorts, fail } = settings;
  const { queue, mark } = linux;
  const bits = `0x${mark.toString(16)}`;
  const flags = fail === 'open' ? ' flags bypass' : '';
  const ports = nftPorts(sipPorts);
  const sip = (side: 'dport' | 'sport') => `meta l4proto { tcp, udp } th ${side} ${ports}`;
  return `${[
    `# nft(8) rules for pinholed(8), made from ${file ?? 'its defaults'} by "pinholed rules --platform linux".`,
    '',
    '# SIP goes through the daemon, requests and answers. Each packet is handed over once.',
    fail === 'open'
      ? '# While the daemon is down it passes unread ("bypass"), and calls get no pinholes.'
      : '# While the daemon is down it is dropped; "fail: open" would let it pass unread.',
    'table inet pinholed_sip {',
    '\tchain forward {',
    '\t\ttype filter hook forward priority mangle; policy accept;',
    `\t\t${sip('dport')} queue${flags} to ${queue}`,
    `\t\t${sip('sport')} queue${flags} to ${queue}`,
    '\t}',
    '\t# For a PBX on this machine: the same two lines in chains with "hook input" and "hook output".',
    '}',
    '',
    '# In each chain of yours that drops, at priority filter. What matches a pinhole bears the mark by then.',
    '#\tct state established accept',
    `#\tmeta mark & ${bits} == ${bits} accept`,
    `#\t${sip('dport')} accept`,
    ...outboundMedia(settings),
    ...blockedMedia(settings),
    '# "ct state" also makes the kernel put fragments together before they are looked at.',
    '',
    '# What claims an inside address comes in from inside alone: the reverse path has to be the interface it came in by.',
    '#\tprerouting, priority raw: fib saddr . iif oif missing drop',
    '#\tor, for IPv4 alone: sysctl -w net.ipv4.conf.all.rp_filter=1',
    '',
    ...translation(settings),
    '# Where SIP cannot be queued by nft (a kernel without CONFIG_NFT_QUEUE), in place of the table above:',
    ...iptablesRules(settings).map((line) => `#\t${line}`),
  ].join('\n')}\n`;
}

/** What lets out the media that inside hosts send. */
function outboundMedia({ outbound, inside, tcpMedia, staticMedia }: Settings): string[] {
  if (outbound) {
    const opened =
      '# With "outbound: true" what inside hosts send is opened with each call: nothing more is needed for it.';
    if (staticMedia.length === 0) return [opened];
    return [
      opened,
      '# Not so for static-media: nobody knows where its peers listen. Where that chain drops what these hosts send first:',
      ...wayToStaticPeers(staticMedia).map(({ family, hosts, ranges, peers }) => {
        const ip = family === 4 ? 'ip' : 'ip6';
        const ends = `${ip} saddr { ${hosts.join(', ')} } ${ip} daddr { ${peers.join(', ')} }`;
        return `#\t${ends} udp sport ${nftPorts(ranges)} udp dport 1024-65535 accept`;
      }),
    ];
  }
  const protocols = tcpMedia ? 'meta l4proto { tcp, udp } th' : 'udp';
  const lines = (['ip', 'ip6'] as const).flatMap((family) => {
    const networks = inside.filter((network) => (network.family === 4) === (family === 'ip'));
    const set = networks.map(({ text }) => text).join(', ');
    return set === '' ? [] : [`#\t${family} saddr { ${set} } ${protocols} dport 1024-65535 accept`];
  });
  return [
    '# Media that inside hosts send is yours to let out, where that chain drops it: without it they hear and are not',
    '# heard. Or set "outbound: true", and each call opens the way to what its other party announced.',
    ...lines,
  ];
}

/** What tells the daemon of media that is dropped. */
function blockedMedia({ blocked, mediaPorts }: Settings): string[] {
  if (!blocked.watch) return [];
  return [
    '# What that chain drops of media is told to the daemon ("blocked.watch"): its last line, or before the one that drops.',
    `#\tudp dport ${nftPorts(mediaPorts)} limit rate ${blocked.rate}/second log group ${blocked.group}`,
  ];
}

/** What address translation needs beside the daemon's own. */
function translation(settings: Settings): string[] {
  const { all, own, ruleset } = byTranslator(settings);
  if (all.length === 0) return [];
  const { linux, sipPorts } = settings;
  const lines = all.flatMap((mapping) => {
    const external = externalOf(mapping, (name) => `ADDRESS-OF-${name}`);
    const [host = ''] = hostsOf(mapping);
    const family = host.includes(':') ? 'ip6' : 'ip';
    const arrives = mapping.arrivesAt ?? external;
    const sip = `meta l4proto { tcp, udp } th dport ${nftPorts(sipPorts)}`;
    return [
      `#\tprerouting, priority dstnat: ${family} daddr ${arrives} ${sip} dnat ${family} to ${host}`,
      `#\tpostrouting, priority srcnat: ${family} saddr ${host} snat ${family} to ${arrives}`,
    ];
  });
  const media = settings.mediaPorts.map(([first, last]) => `${first}-${last}`).join(', ');
  return [
    '# Address translation: SIP has to reach the PBX by rules of yours, such as these.',
    ...lines,
    ...(own.length === 0
      ? []
      : [
          `# Media brings its own: table inet ${linux.table} has chains of type nat just before priority dstnat and srcnat.`,
        ]),
    ...(ruleset.length === 0
      ? []
      : [
          `# "translation: ruleset": the same two lines for media (udp dport ${media}, udp sport ${media}) have to be there.`,
        ]),
    '',
  ];
}

/** The same for iptables(8). */
function iptablesRules({ linux, sipPorts, fail }: Settings): string[] {
  const bypass = fail === 'open' ? ' --queue-bypass' : '';
  const ports = sipPorts.map(([first, last]) => (first === last ? `${first}` : `${first}:${last}`)).join(',');
  return ['iptables', 'ip6tables'].flatMap((program) =>
    ['udp', 'tcp'].map(
      (protocol) =>
        `${program} -t mangle -A FORWARD -p ${protocol} -m multiport --ports ${ports} ` +
        `-j NFQUEUE --queue-num ${linux.queue}${bypass}`,
    ),
  );
}

function nftPorts(ranges: readonly PortRange[]): string {
  const texts = ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  return texts.length === 1 ? texts[0]! : `{ ${texts.join(', ')} }`;
}
