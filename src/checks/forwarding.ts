import { caution, type Finding, ok } from './finding.ts';

export type Family = 4 | 6;

/** What a machine that forwards these families, at least one, lacks. `commands` make it forward each. */
export function checkForwarded(
  forwarded: readonly Family[],
  commands: Readonly<Record<Family, string>>,
): Finding {
  if (forwarded.length === 2) return ok('forwarding', 'IPv4 and IPv6 are forwarded');
  const off = forwarded[0] === 4 ? 6 : 4;
  return caution(
    'forwarding',
    `IPv${off} is not forwarded: calls over it do not pass this machine`,
    `${commands[off]}, if there are to be any`,
  );
}
