import type { CallState, EndReason } from '../../call/call.ts';
import type { RefusalReason } from '../../call/refusal.ts';
import { type CloseReason, type MediaKind, PARTIES } from '../../call/wanted.ts';
import type {
  CallReport,
  FramePlace,
  MessageLine,
  PinholeReport,
  RefusalReport,
} from '../../history/call-report.ts';
import type { RememberedCall } from '../../history/history.ts';
import type { AudioCause } from '../../inspector/audio-cause.ts';
import { callJson, placeJson, seconds } from '../replay/json.ts';
import type { BlockedResult } from './blocked.ts';

/**
 * What `explain` answers: the call as `pinholed replay --json` writes it, its frames being packets that the daemon
 * received, counted from its start.
 */
export interface ExplainResult extends ReturnType<typeof callJson> {
  /** It was taken up from the journal: what came before is not known. */
  readonly adopted: boolean;
  readonly pinholesOmitted: number;
  /** What the ruleset dropped near it, where `blocked.watch` is on. */
  readonly blocked?: readonly BlockedResult[];
  /** When audio was missed while it was up; `until` is null while it lasts, and where the call ended so. */
  readonly withoutAudio: readonly {
    readonly missing: readonly (typeof PARTIES)[number][];
    readonly since: number;
    readonly until: number | null;
    readonly causes: readonly AudioCause[];
  }[];
}

/** A remembered call with its times as seconds since the epoch; `epoch` is that of the daemon's clock, in ms. */
export function explainCall({ report, ...more }: RememberedCall, epoch: number): ExplainResult {
  const dated = atEpoch(report, epoch);
  const withoutAudio = dated.withoutAudio.map(({ missing, since, until, causes }) => ({
    missing: missing.map((side) => PARTIES[side]),
    since: seconds(since),
    until: seconds(until),
    causes,
  }));
  return { ...callJson(dated, placeJson(false), false), ...more, withoutAudio };
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
    withoutAudio: report.withoutAudio.map(({ since, until, ...spell }) => ({
      ...{ ...spell, since: epoch + since, until: dated(until) },
    })),
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
    codecs: result.codecs ?? '',
    state: result.state as CallState,
    endReason: result.endReason as EndReason | null,
    endStatus: result.endStatus ?? 0,
    startedAt: result.startedAt * 1000,
    answeredAt: milliseconds(result.answeredAt),
    endedAt: milliseconds(result.endedAt),
    messages: result.messages.map(readMessage),
    pinholes: result.pinholes.map(readPinhole),
    refusals: result.refusals.map(readRefusal),
    withoutAudio: (result.withoutAudio ?? []).map(({ missing, since, until, causes }) => ({
      missing: missing.map((name) => (name === 'caller' ? 0 : 1)),
      ...{ since: since * 1000, until: milliseconds(until), causes },
    })),
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

function readRefusal({ frame, at, reason, ...rest }: ExplainResult['refusals'][number]): RefusalReport {
  return { ...rest, place: placeOf(frame), at: at * 1000, reason: reason as RefusalReason };
}
