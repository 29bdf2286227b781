import type { PortRange, Settings } from '../../config/schema.ts';

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
    '# "ct state" also makes the kernel put fragments together before they are looked at.',
    '',
    '# Where SIP cannot be queued by nft (a kernel without CONFIG_NFT_QUEUE), in place of the table above:',
    ...iptablesRules(settings).map((line) => `#\t${line}`),
  ].join('\n')}\n`;
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
