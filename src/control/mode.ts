import type { StatusResult } from './protocol.ts';

/** Said wherever the mode is, since it is what the product is not for. */
export const PASSIVE = 'reads copies of packets, so that media may come before its pinhole';

/** `fail closed, on a firewall error pass, with a journal` */
export function modeText({
  observes,
  passive,
  fail,
  onFirewallError,
  strict,
  journal,
}: StatusResult['mode']): string {
  const words = [
    ...(observes ? ['observes, opens nothing'] : []),
    ...(passive ? [PASSIVE] : []),
    `fail ${fail}`,
    `on a firewall error ${onFirewallError}`,
  ];
  if (strict) words.push('strict');
  words.push(journal ? 'with a journal' : 'without a journal');
  return words.join(', ');
}
