import { Buffer } from 'node:buffer';
import { integer, nameOf, object, only, orNull, type Shape, ShapeError, text } from '../shape.ts';
import type { SdpBody, SipMessage } from './message.ts';

/** No field of a message that was read is longer. */
export const WORD = text(1024);
const NUMBER = integer(0, 0xffff_ffff);
export const status = integer(0, 699);

type Unusable = Extract<SdpBody, { kind: 'unusable' }>;

const UNUSABLE = object<Unusable>({
  kind: only('unusable'),
  reason: nameOf<Unusable['reason']>({
    'several-sdp': true,
    'encoded-body': true,
    'malformed-body': true,
    'nested-body': true,
    'beyond-content-length': true,
  }),
});
const KIND = nameOf<SdpBody['kind']>({ none: true, sdp: true, sdpfrag: true, unusable: true });
const NO_BYTES = Buffer.alloc(0);

/** Without the bytes of a description. */
const body: Shape<SdpBody> = {
  isPlain: false,
  write: (value) => (value.kind === 'unusable' ? value : { kind: value.kind }),
  read(value, at, moment) {
    if (typeof value !== 'object' || value === null) throw new ShapeError(`expected an object at ${at}`);
    const kind = KIND.read((value as SdpBody).kind, `${at}.kind`, moment);
    if (kind === 'unusable') return UNUSABLE.read(value, at, moment);
    return kind === 'none' ? { kind } : { kind, bytes: NO_BYTES };
  },
};

/** A message without the bytes of its body, and without what is of no use to who keeps it. */
export const message = object<Omit<SipMessage, 'asksForTls'>>({
  method: WORD,
  status,
  subject: WORD,
  callId: WORD,
  fromTag: WORD,
  toTag: WORD,
  cseq: NUMBER,
  cseqMethod: WORD,
  branch: WORD,
  sentBy: WORD,
  contact: WORD,
  rseq: orNull(NUMBER),
  rack: orNull(object({ rseq: NUMBER, cseq: NUMBER, method: WORD })),
  sessionExpires: orNull(NUMBER),
  expires: orNull(NUMBER),
  from: WORD,
  to: WORD,
  sdp: body,
});
