export interface FrameOptions {
  readonly mask?: Uint8Array | undefined;
  /** In how many more frames than one. */
  readonly fragments?: number;
  /** A ping after the first of them. */
  readonly ping?: boolean;
}

/** A text message of WebSocket in frames (RFC 6455 5.2). */
export function frame(
  payload: Buffer | string,
  { mask, fragments = 0, ping = false }: FrameOptions = {},
): Buffer {
  const bytes = Buffer.from(payload);
  const size = Math.ceil(bytes.length / (fragments + 1));
  const frames = Array.from({ length: fragments + 1 }, (_, n) => {
    const isLast = n === fragments;
    const part = isLast ? bytes.subarray(n * size) : bytes.subarray(n * size, (n + 1) * size);
    return one(part, (isLast ? 0x80 : 0) | (n === 0 ? 1 : 0), mask);
  });
  if (ping) frames.splice(1, 0, one(Buffer.from('are you there'), 0x89, mask));
  return Buffer.concat(frames);
}

function one(payload: Buffer, first: number, mask: Uint8Array | undefined): Buffer {
  const bit = mask === undefined ? 0 : 0x80;
  const head =
    payload.length < 126
      ? Buffer.from([first, bit | payload.length])
      : Buffer.from([first, bit | 126, payload.length >> 8, payload.length & 0xff]);
  if (mask === undefined) return Buffer.concat([head, payload]);
  return Buffer.concat([head, mask, payload.map((byte, at) => byte ^ mask[at % 4]!)]);
}
