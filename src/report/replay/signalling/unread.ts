import type { Address } from '../../../address/address.ts';
import type { Refusal } from '../../../call/refusal.ts';
import type { FramePlace } from '../../../history/call-report.ts';
import { printable } from '../../../printable.ts';
import type { Named, readRoughly } from '../named.ts';
import { addTo, MOST_REMEMBERED } from './bounds.ts';

/** A message with a session description, or what may be one, of which nothing was opened: why. */
export interface UnreadDescription {
  readonly source: Address;
  readonly destination: Address;
  readonly place: FramePlace;
  readonly at: number;
  /** `INVITE`, `200 OK`; '' where even that cannot be read. */
  readonly summary: string;
  readonly callId: string;
  readonly named: Named;
  /** What was wrong, in words that go on from "it". */
  readonly why: string;
  readonly advice: string;
  /** The refusal that says so, where there is one. */
  refusal: Refusal | null;
}

export interface UnreadDescriptions {
  add(one: UnreadDescription): void;
  /** The one that names this transport address, or its owner's at this port; the latest before `time`, else any. */
  at(address: Address, port: number, time: number): UnreadDescription | null;
  /** The latest of this host from before `time` that names no port, else any of its. */
  of(owner: Address, time: number): UnreadDescription | null;
  /** A request, or a response, between two hosts: that of this Call-ID, else one without any. */
  between(
    kind: 'request' | 'response',
    from: Address,
    to: Address,
    callId: string,
    until: number,
  ): UnreadDescription | null;
}

const NONE: readonly UnreadDescription[] = [];

/** Descriptions that could not be read, by what they name in plain sight. */
export function createUnreadDescriptions(): UnreadDescriptions {
  const byPort = new Map<number, UnreadDescription[]>();
  const byHost = new Map<Address, UnreadDescription[]>();
  let kept = 0;

  function add(one: UnreadDescription): void {
    if (++kept > MOST_REMEMBERED) return;
    addTo(byHost, one.source, one);
    for (const port of one.named.ports) addTo(byPort, port, one);
  }

  function at(address: Address, port: number, time: number): UnreadDescription | null {
    // RTCP is expected at the next port.
    const naming = [port, port - 1].flatMap((one) => byPort.get(one) ?? NONE);
    const exact = naming.filter(({ named }) => named.addresses.includes(address));
    const own = naming.filter(({ source }) => source === address);
    return latest(exact, time) ?? latest(own, time);
  }

  function of(owner: Address, time: number): UnreadDescription | null {
    const own = byHost.get(owner) ?? NONE;
    return latest(
      own.filter(({ named }) => named.ports.length === 0),
      time,
    );
  }

  const between: UnreadDescriptions['between'] = (kind, from, to, callId, until) => {
    const found = (byHost.get(from) ?? NONE).filter(
      (one) =>
        one.destination === to && one.at <= until && /^[1-6]/.test(one.summary) === (kind === 'response'),
    );
    return (
      found.findLast((one) => one.callId === callId) ?? found.findLast((one) => one.callId === '') ?? null
    );
  };

  return { add, at, of, between };
}

function latest(found: readonly UnreadDescription[], time: number): UnreadDescription | null {
  return found.findLast(({ at }) => at <= time) ?? found[0] ?? null;
}

/** Why a message has no description though its bytes look as if it had; null when they do not. */
export function hiddenBody({
  named,
  contentType,
  contentLength,
  contentDisposition,
}: ReturnType<typeof readRoughly>): { readonly why: string; readonly advice: string } | null {
  if (named.ports.length === 0) return null;
  if (contentType === '') {
    return {
      why: 'it has no Content-Type',
      advice:
        'RFC 3261 20.15 wants Content-Type: application/sdp. Report it to the maker of the sending device.',
    };
  }
  const isSdp = /^application\s*\/\s*sdp\s*(;|$)/i.test(contentType);
  const isMultipart = /^multipart\s*\/\s*(mixed|alternative|related)\b/i.test(contentType);
  if (!isSdp && !isMultipart) {
    return {
      why: `its Content-Type is ${printable(contentType.split(';')[0]!, 60)}, not application/sdp`,
      advice: 'Report it to the maker of the sending device.',
    };
  }
  const disposition = contentDisposition.split(';')[0]!.trim();
  if (isSdp && disposition !== '' && disposition.toLowerCase() !== 'session') {
    return {
      why: `its Content-Disposition is ${printable(disposition, 60)}, not session`,
      advice:
        'RFC 3261 20.11: such a description is not that of the session. Report it to the maker of the sending device.',
    };
  }
  if (isMultipart) {
    return {
      why: 'no part of its body is application/sdp for the session',
      advice:
        'Each part needs a Content-Type of its own (RFC 2046 5.1). Report it to the maker of the sending device.',
    };
  }
  return {
    why: `it stands behind the end of the body (Content-Length: ${contentLength.slice(0, 12) || 'none'})`,
    advice:
      'What follows Content-Length is no part of a message (RFC 3261 18.3). Report it to the maker of the device.',
  };
}
