import { type Endpoint, sendPaced } from './endpoint.ts';

/** Milliseconds of fax a packet carries. */
const FRAME_MS = 40;

/** T.38 (06/98) Annex A: t30-indicator values, and the data types, as the PER encodes them in an IFP packet's first octet. */
const indicator = (value: number): Buffer => Buffer.from([value << 1]);
const [NO_SIGNAL, CNG, CED, V21_PREAMBLE, V29_9600_TRAINING] = [0, 1, 2, 3, 7].map(indicator);
const V21 = 0xc0;
const V29_9600 = 0xc8;
const HDLC_DATA = 0;
const HDLC_FCS_OK_SIG_END = 4;
const T4_NON_ECM_DATA = 6;
const T4_NON_ECM_SIG_END = 7;

/** An IFP packet with one data field; a field without bytes marks the end of a signal. */
function data(type: number, field: number, bytes: readonly number[] = []): Buffer {
  if (bytes.length === 0) return Buffer.from([type, 1, field << 4]);
  const size = bytes.length - 1;
  return Buffer.from([type, 1, 0x80 | (field << 4), size >> 8, size & 0xff, ...bytes]);
}

/** A T.30 frame, most significant bit first as T.38 has it: address, control with the final bit, then what is given. */
const frame = (...bytes: number[]): Buffer[] => [
  V21_PREAMBLE ?? Buffer.alloc(0),
  data(V21, HDLC_DATA, [0xff, 0xc8, ...bytes]),
  data(V21, HDLC_FCS_OK_SIG_END),
];
/** Facsimile control fields (T.30, 5.3.6.1); the sender's have the X bit set. */
const [DIS, CFR, MCF, DCS, EOP, DCN] = [0x01, 0x21, 0x31, 0xc1, 0xf4, 0xdf];
const repeat = (count: number, packet: Buffer | undefined): Buffer[] => Array(count).fill(packet);
const line = Array.from({ length: 48 }, (_, i) => (i % 3 === 0 ? 0x4d : 0x9a));

const sender: readonly Buffer[] = [
  ...repeat(4, CNG),
  ...repeat(10, NO_SIGNAL),
  ...frame(DCS, 0x00, 0x62, 0x0e),
  ...repeat(2, V29_9600_TRAINING),
  ...repeat(16, data(V29_9600, T4_NON_ECM_DATA, line)),
  data(V29_9600, T4_NON_ECM_SIG_END),
  ...frame(EOP),
  ...repeat(4, NO_SIGNAL),
  ...frame(DCN),
];
const receiver: readonly Buffer[] = [
  ...repeat(6, CED),
  ...frame(DIS, 0x00, 0x73, 0x2f),
  ...repeat(12, NO_SIGNAL),
  ...frame(CFR),
  ...repeat(14, NO_SIGNAL),
  ...frame(MCF),
];

/**
 * Sends one page of fax over UDPTL (T.38, 9.1): sequence number, the IFP packet, and as error recovery the packet before it.
 * `role` says which fax machine's part to play.
 */
export function sendFax(from: Endpoint, to: Endpoint, role: 'sender' | 'receiver'): Promise<void> {
  const packets = role === 'sender' ? sender : receiver;
  return sendPaced(from, to, packets.length, FRAME_MS, (n) => {
    const primary = packets[n] ?? Buffer.alloc(0);
    const before = n > 0 ? packets[n - 1] : undefined;
    const recovery = before === undefined ? [0x00, 0x00] : [0x00, 0x01, before.length, ...before];
    return Buffer.from([n >> 8, n & 0xff, primary.length, ...primary, ...recovery]);
  });
}
