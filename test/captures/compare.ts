import type { FlowReport, ReplayReport } from '../../src/report/replay/model.ts';
import type { Truth, TruthFlow } from './manifest.ts';

/** Where a replay and tshark's findings part on one media flow. */
export interface Difference {
  /** `192.0.2.1:4000 > 192.0.2.2:5000`. */
  readonly flow: string;
  readonly what: 'blocked' | 'partly blocked' | 'passed' | 'not listed' | 'not in the truth';
  readonly truth: TruthFlow | null;
  readonly report: FlowReport | null;
}

/**
 * Every media flow that does not do what the truth asks: one whose destination was announced passes with all its
 * packets, one whose destination its owner never announced passes with none.
 */
export function compare(truth: Truth, report: ReplayReport): Difference[] {
  const reported = new Map(report.media.map((flow) => [keyOf(flow), flow]));
  const differences: Difference[] = [];
  for (const flow of truth.flows) {
    const key = `${flow.src}:${flow.sport} > ${flow.dst}:${flow.dport}`;
    const mine = reported.get(key) ?? null;
    reported.delete(key);
    const what = mine === null ? 'not listed' : judge(flow, truth, mine);
    if (what !== null) differences.push({ flow: key, what, truth: flow, report: mine });
  }
  for (const [flow, mine] of reported) {
    if (mine.passed > 0) differences.push({ flow, what: 'not in the truth', truth: null, report: mine });
  }
  return differences;
}

function judge(flow: TruthFlow, truth: Truth, { passed, blocked }: FlowReport): Difference['what'] | null {
  if (!flow.dst_announced_before) return passed > 0 ? 'passed' : null;
  if (blocked > 0) return passed > 0 ? 'partly blocked' : 'blocked';
  return isOwnWord(flow, truth) ? null : 'passed';
}

/** Whether the host that owns the destination announced it itself before the flow began. */
export function isOwnWord({ dst, dport, first_frame }: TruthFlow, { announced }: Truth): boolean {
  return announced.some(({ frame, sender, rejected, address, port, port_count, rtcp_port, candidates }) => {
    if (sender !== dst || frame >= first_frame || rejected) return false;
    if (candidates.some((one) => one.address === dst && one.port === dport)) return true;
    const last = port + 2 * Math.max(1, port_count) - 1;
    return address === dst && (dport === rtcp_port || (port <= dport && dport <= last));
  });
}

function keyOf({ source, sourcePort, destination, destinationPort }: FlowReport): string {
  return `${source}:${sourcePort} > ${destination}:${destinationPort}`;
}
