import type { DataPathStatus } from '../messages.ts';

/** One line for SIGUSR1 and SIGINFO. */
export function statusLine({
  counters,
  inspector,
  calls,
  pinholes,
  missing,
  platform,
}: DataPathStatus): string {
  const { received, released, dropped, commits, commitErrors, exceptions } = counters;
  const { messages, malformed, refusals } = inspector;
  const refused = Object.values(refusals).reduce((sum, count) => sum + count, 0);
  const own = Object.entries(platform).map(([name, count]) => `, ${name} ${count}`);
  return (
    `status: ${calls} calls, ${pinholes} pinholes (${missing} missing); packets ${received} received, ` +
    `${released} released, ${dropped} dropped; messages ${messages.udp} udp, ${messages.tcp} tcp, ` +
    `${malformed} malformed; ${refused} refusals; ${commits} commits, ${commitErrors} failed; ` +
    `${exceptions} unexpected errors${own.join('')}`
  );
}
