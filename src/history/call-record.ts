import type { CallReport, PinholeReport } from './call-report.ts';
import type { Passed } from './passed.ts';

/**
 * A call that is over as one JSON object, for who keeps such records: docs/call-records.md. Times are those of the report;
 * `dateOf` makes ISO 8601 of one. `callId` is left out where it is not to be written.
 */
export function callRecord(
  report: CallReport,
  passed: Passed,
  dateOf: (at: number) => string,
  withCallId: boolean,
): Record<string, unknown> {
  const { legId, callId, parties, from, to, codecs, startedAt, answeredAt, endedAt, endReason, endStatus } =
    report;
  const end = endedAt ?? startedAt;
  const reasons = report.refusals.map(({ reason }) => reason);
  return {
    type: 'call',
    legId,
    ...(withCallId && { callId }),
    from,
    to,
    caller: parties[0],
    callee: parties[1],
    codecs,
    startedAt: dateOf(startedAt),
    answeredAt: answeredAt === null ? null : dateOf(answeredAt),
    endedAt: endedAt === null ? null : dateOf(endedAt),
    seconds: answeredAt === null ? 0 : secondsFrom(answeredAt, end),
    endReason,
    status: endStatus === 0 ? null : endStatus,
    packets: passed.packets,
    bytes: passed.bytes,
    sent: passed.sent,
    pinholes: report.pinholes.map((one) => pinholeRecord(one, dateOf)),
    refused: [...new Set(reasons)],
  };
}

function pinholeRecord(one: PinholeReport, dateOf: (at: number) => string): Record<string, unknown> {
  const { media, kind, protocol, address, ports, sources, sourcePort, openedAt, closedAt, closeReason } = one;
  return {
    ...{ media, kind, protocol, address, ports, sources, sourcePort },
    openedAt: dateOf(openedAt),
    closedAt: closedAt === null ? null : dateOf(closedAt),
    ...{ closeReason, packets: one.packets, sent: one.sent },
  };
}

function secondsFrom(start: number, end: number): number {
  return Math.round(end - start) / 1000;
}
