import type { CallState, EndReason } from '../../call/call.ts';
import type { RefusalReason } from '../../call/refusal.ts';
import type { CloseReason, MediaKind } from '../../call/wanted.ts';
import type {
  CallReport,
  FramePlace,
  MessageLine,
  PinholeReport,
  RefusalReport,
} from '../../history/call-report.ts';
import type { RememberedCall } from '../../history/history.ts';
import { callJson, placeJson } from '../replay/json.ts';

/**
 * What `explain` answers: the call as `pinholed replay --json` writes it, its frames being packets that the daemon
 * received, counted from its start.
 */
export interface ExplainResult extends ReturnType<typeof callJson> {
  /** It was taken up from the journal: what came before is not known. */
  readonly adopted: boolean;
  readonly pinholesOmitted: number;
}

/** A remembered call with its times as seconds since the epoch; `epoch` is that of the daemon's clock, in ms. */
export function explainCall({ report, ...more }: RememberedCall, epoch: number): ExplainResult {
  return { ...callJson(atEpoch(report, epoch), placeJson(false), false), ...more };
}

/** The call with its times in ms since the epoch; `epoch` is that of the daemon's clock, in ms. */
export function atEpoch(report: CallReport, epoch: number): CallReport {
  const date = <T extends { readonly at: number }>(one: T): T => ({ ...one, at: epoch + one.at });
  const dated = (at: number | null) => (at === null ? null : epoch + at);
  return {
    ...report,
    startedAt: epoch + report.startedAt,
    answeredAt: dated(report.answeredAt),
    endedAt: dated(report.endedAt),
    messages: report.messages.map(date),
    refusals: report.refusals.map(date),
    pinholes: report.pinholes.map((pinhole) => ({
      ...pinhole,
      openedAt: epoch + pinhole.openedAt,
      closedAt: dated(pinhole.closedAt),
    })),
  };
}

/** The way back: what was answered, as the text of a replay is made from it. */
export function readExplained(result: ExplainResult): CallReport {
  return {
    ...result,
    state: result.state as CallState,
    endReason: result.endReason as EndReason | null,
    endStatus: result.endStatus ?? 0,
    startedAt: result.startedAt * 1000,
    answeredAt: milliseconds(result.answeredAt),
    endedAt: milliseconds(result.endedAt),
    messages: result.messages.map(readMessage),
    pinholes: result.pinholes.map(readPinhole),
    refusals: result.refusals.map(readRefusal),
  };
}

function milliseconds(seconds: number | null): number | null {
  return seconds === null ? null : seconds * 1000;
}

function placeOf(frame: number): FramePlace {
  return { file: 0, frame };
}

function readMessage(line: ExplainResult['messages'][number]): MessageLine {
  const { frame, at, src, srcPort, dst, dstPort, sdp, transport, summary, repeats, copies } = line;
  return {
    ...{ place: placeOf(frame), at: at * 1000, transport, summary, description: sdp, repeats, copies },
    ...{ source: src, sourcePort: srcPort, destination: dst, destinationPort: dstPort },
  };
}

function readPinhole(pinhole: ExplainResult['pinholes'][number]): PinholeReport {
  const { openedFrame, closedFrame, openedAt, closedAt, sources, kind, closeReason, ...rest } = pinhole;
  return {
    ...rest,
    sent: null,
    sources: sources[0] === 'any' ? 'any' : sources,
    kind: kind as MediaKind,
    opened: placeOf(openedFrame),
    openedAt: openedAt * 1000,
    closed: closedFrame === null ? null : placeOf(closedFrame),
    closedAt: milliseconds(closedAt),
    closeReason: closeReason as CloseReason | null,
  };
}

function readRefusal({ frame, at, reason, detail, why }: ExplainResult['refusals'][number]): RefusalReport {
  return { place: placeOf(frame), at: at * 1000, reason: reason as RefusalReason, detail, why };
}
