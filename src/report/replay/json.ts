import type { CallReport, FramePlace, PinholeReport } from '../../history/call-report.ts';
import { printableJson } from '../../printable.ts';
import type { FlowReport, ReplayReport } from './model.ts';

/**
 * The report as one JSON object, in pieces so that a report of any size can be written. Times are seconds since
 * the epoch, to the microsecond. `file` beside a frame number is an index into `files`, there only when there
 * are several.
 */
export function* replayJson(report: ReplayReport): Generator<string> {
  const many = report.files.length > 1;
  const at = placeJson(many);
  const { sip } = report;
  yield '{';
  yield member('files', report.files);
  yield member('frames', report.frames);
  yield member('firstAt', seconds(report.firstAt));
  yield member('lastAt', seconds(report.lastAt));
  yield member('window', { from: seconds(report.window.from), to: seconds(report.window.to) });
  yield member('inside', report.inside);
  yield member('insideAssumed', report.insideAssumed);
  yield member('sip', {
    messages: sip.messages,
    malformed: sip.malformed,
    byTransport: sip.byTransport,
    requests: Object.fromEntries(sip.requests),
    responses: Object.fromEntries(sip.responses),
  });
  yield member('unreadable', Object.fromEntries(report.unreadable));
  yield member('truncated', report.truncated);
  yield* list(
    'calls',
    report.calls.map((call) => () => callJson(call, at, many)),
  );
  yield* list(
    'strays',
    report.strays.map((call) => () => callJson(call, at, many)),
  );
  yield* list(
    'media',
    report.media.map((flow) => () => flowJson(flow, at, many)),
  );
  yield member(
    'refusals',
    report.refusals.map(({ place, at: time, reason, detail, count, why }) => ({
      ...at(place),
      at: seconds(time),
      reason,
      detail,
      count,
      why,
    })),
  );
  yield member('refused', Object.fromEntries(report.refused));
  yield member('notes', report.notes);
  yield `\n  "damage": ${text(report.damage)}\n}\n`;
}

function text(value: unknown): string {
  return printableJson(JSON.stringify(value));
}

function member(name: string, value: unknown): string {
  return `\n  ${text(name)}: ${text(value)},`;
}

function* list(name: string, items: readonly (() => unknown)[]): Generator<string> {
  yield `\n  ${text(name)}: [`;
  for (const [index, item] of items.entries()) {
    yield `${index === 0 ? '' : ','}\n    ${text(item())}`;
  }
  yield items.length === 0 ? '],' : '\n  ],';
}

type At = (place: FramePlace) => { readonly frame: number; readonly file?: number };

/** Writes a place as members of the object it belongs to. */
export function placeJson(many: boolean): At {
  return ({ frame, file }) => (many ? { frame, file } : { frame });
}

/** One member of `calls`. `at` writes a place down; `many`: there are several files. */
export function callJson(call: CallReport, at: At, many: boolean) {
  return {
    legId: call.legId,
    callId: call.callId,
    fromTag: call.fromTag,
    toTags: call.toTags,
    parties: call.parties,
    ports: call.ports,
    from: call.from,
    to: call.to,
    codecs: call.codecs,
    state: call.state,
    startedAt: seconds(call.startedAt),
    answeredAt: seconds(call.answeredAt),
    endedAt: seconds(call.endedAt),
    endReason: call.endReason,
    endStatus: call.endStatus === 0 ? null : call.endStatus,
    pinholes: call.pinholes.map((pinhole) => pinholeJson(pinhole, many)),
    refusals: call.refusals.map(({ place, at: time, reason, detail, transport, why }) => ({
      ...at(place),
      at: seconds(time),
      reason,
      detail,
      transport,
      why,
    })),
    messages: call.messages.map((line) => ({
      ...at(line.place),
      at: seconds(line.at),
      src: line.source,
      srcPort: line.sourcePort,
      dst: line.destination,
      dstPort: line.destinationPort,
      transport: line.transport,
      summary: line.summary,
      sdp: line.description,
      repeats: line.repeats,
      copies: line.copies,
    })),
    messagesOmitted: call.messagesOmitted,
  };
}

function pinholeJson(pinhole: PinholeReport, many: boolean) {
  const { opened, closed } = pinhole;
  return {
    protocol: pinhole.protocol,
    sources: pinhole.sources === 'any' ? ['any'] : pinhole.sources,
    sourcePort: pinhole.sourcePort,
    address: pinhole.address,
    ports: pinhole.ports,
    kind: pinhole.kind,
    media: pinhole.media,
    direction: pinhole.direction,
    external: pinhole.external,
    slot: pinhole.slot,
    agreed: pinhole.agreed,
    onTrial: pinhole.onTrial,
    openedFrame: opened.frame,
    ...(many ? { openedFile: opened.file } : {}),
    openedAt: seconds(pinhole.openedAt),
    closedFrame: closed?.frame ?? null,
    ...(many ? { closedFile: closed?.file ?? null } : {}),
    closedAt: seconds(pinhole.closedAt),
    closeReason: pinhole.closeReason,
    packets: pinhole.packets,
  };
}

/** One member of `media`. */
export function flowJson(flow: FlowReport, at: At, many: boolean) {
  return {
    src: flow.source,
    srcPort: flow.sourcePort,
    dst: flow.destination,
    dstPort: flow.destinationPort,
    firstFrame: flow.first.frame,
    ...(many ? { firstFile: flow.first.file } : {}),
    firstAt: seconds(flow.firstAt),
    lastAt: seconds(flow.lastAt),
    packets: flow.packets,
    passed: flow.passed,
    blocked: flow.blocked,
    outbound: flow.outbound,
    copies: flow.copies,
    kinds: flow.kinds,
    rtp: flow.rtp.map((stream) => ({
      ssrc: stream.ssrc,
      payloadTypes: stream.payloadTypes,
      codecs: stream.codecs,
      firstAt: seconds(stream.firstAt),
      lastAt: seconds(stream.lastAt),
      packets: stream.packets,
      lost: stream.lost,
      repeated: stream.repeated,
      late: stream.late,
      jitterMax: milliseconds(stream.jitterMax),
      jitterMean: milliseconds(stream.jitterMean),
    })),
    callId: flow.callId,
    legId: flow.legId,
    side: flow.side,
    density: {
      from: seconds(flow.density.from),
      width: flow.density.width / 1000,
      passed: flow.density.passed,
      blocked: flow.density.blocked,
    },
    blocks: flow.blocks.map(({ first, firstAt, ...block }) => ({
      reason: block.reason,
      ...at(first),
      at: seconds(firstAt),
      packets: block.packets,
      text: block.text,
      advice: block.advice,
    })),
  };
}

/** ms to seconds, to the microsecond. */
export function seconds(ms: number): number;
export function seconds(ms: number | null): number | null;
export function seconds(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 1000) / 1e6;
}

/** ms to the microsecond. */
function milliseconds(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 1000) / 1000;
}
