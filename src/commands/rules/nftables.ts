import type { PortRange, Settings } from '../../config/schema.ts';

/** The lines for nft(8): a table that hands SIP to the daemon, and the rule that accepts what it has marked. */
export function nftablesRules(settings: Settings, file: string | null): string {
  const { linux, sipPorts, fail } = settings;
  const { queue, mark } = linux;
  const hex = `0x${mark.toString(16)}`;
  const flags = fail === 'open' ? ' flags bypass' : '';
  const ports = set(sipPorts);
  return `${[
    `# nft(8) rules for pinholed(8), made from ${file ?? 'its defaults'} by "pinholed rules".`,
    '',
    '# SIP goes through the daemon, requests and answers.',
    ...(fail === 'open' ? ['# With "bypass" it passes unread while the daemon is down.'] : []),
    'table inet pinholed_sip {',
    '\tchain forward {',
    '\t\ttype filter hook forward priority mangle; policy accept;',
    `\t\tmeta l4proto { tcp, udp } th dport ${ports} queue${flags} to ${queue}`,
    `\t\tmeta l4proto { tcp, udp } th sport ${ports} queue${flags} to ${queue}`,
    '\t}',
    '}',
    '',
    '# In the forward chain of yours that drops: what matches a pinhole bears the mark.',
    `# \tct state established accept`,
    `# \tmeta mark & ${hex} == ${hex} accept`,
    `# \tmeta l4proto { tcp, udp } th dport ${ports} accept`,
  ].join('\n')}\n`;
}

function set(ranges: readonly PortRange[]): string {
  const texts = ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  return texts.length === 1 ? texts[0]! : `{ ${texts.join(', ')} }`;
}
