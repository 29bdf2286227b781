import { spawnSync } from 'node:child_process';

/** One line of `tshark -z rtp,streams`. */
export interface TsharkStream {
  readonly key: string;
  readonly packets: number;
  /** Expected less all packets that came, those sent twice among them. */
  readonly lost: number;
  readonly jitterMean: number;
  readonly jitterMax: number;
}

/** `source port destination port ssrc`, addresses and numbers as tshark writes them, the SSRC in decimal. */
export function streamKey(
  source: string,
  sourcePort: number,
  destination: string,
  destinationPort: number,
  ssrc: number,
): string {
  return `${source} ${sourcePort} ${destination} ${destinationPort} ${ssrc}`;
}

/** The RTP streams that tshark finds in a capture. */
export function tsharkStreams(file: string): TsharkStream[] {
  const { stdout } = spawnSync('tshark', ['-r', file, '-q', '-z', 'rtp,streams'], { encoding: 'utf8' });
  const line =
    /^ *[0-9.]+ +[0-9.]+ +(\S+) +([0-9]+) +(\S+) +([0-9]+) +0x([0-9A-F]+) +(.*?) +([0-9]+) +(-?[0-9]+) \([^)]*\) +[0-9.-]+ +[0-9.-]+ +[0-9.-]+ +[0-9.-]+ +([0-9.-]+) +([0-9.-]+)/gm;
  return [...stdout.matchAll(line)].map(([, src, sport, dst, dport, ssrc, , packets, lost, mean, max]) => ({
    key: streamKey(src!, Number(sport), dst!, Number(dport), Number.parseInt(ssrc!, 16)),
    packets: Number(packets),
    lost: Number(lost),
    jitterMean: Number(mean),
    jitterMax: Number(max),
  }));
}
