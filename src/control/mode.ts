import type { StatusResult } from './protocol.ts';

/** `fail closed, on a firewall error pass, with a journal` */
export function modeText({ observes, fail, onFirewallError, strict, journal }: StatusResult['mode']): string {
  const words = [
    ...(observes ? ['observes, opens nothing'] : []),
    `fail ${fail}`,
    `on a firewall error ${onFirewallError}`,
  ];
  if (strict) words.push('strict');
  words.push(journal ? 'with a journal' : 'without a journal');
  return words.join(', ');
}
