import type { Bodies } from '../call/outcome.ts';
import type { Refusal } from '../call/refusal.ts';
import { readSdp, readSdpFragment } from '../sdp/read.ts';
import type { SdpCaps } from '../sdp/select.ts';
import type { SdpError, Session } from '../sdp/session.ts';
import type { SipMessage } from '../sip/message.ts';

/** Of a message that has neither. */
const NO_BODIES: Bodies = { session: () => null, fragment: () => [] };

/** The session description or fragment in a message, each read when it is asked for, the description once. */
export function bodiesOf({ sdp }: Pick<SipMessage, 'sdp'>, caps: SdpCaps): Bodies {
  return sdp.kind === 'none' ? NO_BODIES : bodiesIn(sdp, caps);
}

function bodiesIn(sdp: SipMessage['sdp'], caps: SdpCaps): Bodies {
  let session: Session | SdpError | Refusal | null | undefined;
  return {
    session: () => {
      if (session === undefined) session = sessionOf(sdp, caps);
      return session;
    },
    fragment: () => (sdp.kind === 'sdpfrag' ? readSdpFragment(sdp.bytes, caps) : []),
  };
}

function sessionOf(sdp: SipMessage['sdp'], caps: SdpCaps): Session | SdpError | Refusal | null {
  if (sdp.kind === 'sdp') return readSdp(sdp.bytes, caps);
  return sdp.kind === 'unusable' ? refusalOf(sdp.reason) : null;
}

function refusalOf(reason: Extract<SipMessage['sdp'], { kind: 'unusable' }>['reason']): Refusal {
  switch (reason) {
    case 'nested-body':
      return { reason: 'malformed-body', detail: reason };
    case 'beyond-content-length':
      return { reason: 'malformed-body', detail: 'a session description stands behind Content-Length: 0' };
    default:
      return { reason, detail: reason };
  }
}
