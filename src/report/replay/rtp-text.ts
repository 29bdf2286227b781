/** RTP of one source, as far as it is told in words. */
interface RtpWords {
  readonly ssrc: number;
  readonly payloadTypes: readonly number[];
  readonly codecs: readonly (string | null)[];
  readonly packets: number;
  readonly lost: number;
  readonly late: number;
  readonly repeated: number;
  readonly jitterMean: number | null;
  readonly jitterMax: number | null;
}

/** `PCMU, SSRC 0x12345678, 2 of 102 lost (2.0 %), jitter 0.4 ms (max 1.2)`: mean and highest jitter. */
export function rtpText(stream: RtpWords): string {
  const { ssrc, packets, lost, late, repeated, jitterMean, jitterMax } = stream;
  const words = [codecsText(stream), `SSRC 0x${ssrc.toString(16).padStart(8, '0')}`];
  const expected = packets + lost;
  const share = lost > 0 && expected > 0 ? ` (${((lost / expected) * 100).toFixed(1)} %)` : '';
  words.push(lost > 0 ? `${lost} of ${expected} lost${share}` : `none of ${expected} lost`);
  if (late > 0) words.push(`${late} out of order`);
  if (repeated > 0) words.push(`${repeated} repeated`);
  if (jitterMean !== null && jitterMax !== null) {
    words.push(`jitter ${jitterMean.toFixed(1)} ms (max ${jitterMax.toFixed(1)})`);
  }
  return words.join(', ');
}

/** `PCMU, telephone-event`; a payload type that nobody names by its number. */
export function codecsText({ payloadTypes, codecs }: Pick<RtpWords, 'payloadTypes' | 'codecs'>): string {
  return payloadTypes.map((type, index) => codecs[index] ?? `payload type ${type}`).join(', ');
}
