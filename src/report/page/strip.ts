import type { PageCall, PageFlow, Strip } from './model.ts';
import { crosses } from './verdict.ts';

const PARTS = 40;

/** What passed and was blocked towards the caller and towards the callee. */
export function stripsOf(call: PageCall, flows: readonly PageFlow[]): Strip[] {
  const start = call.startedAt;
  const end = Math.max(call.endedAt ?? start, ...flows.map(({ lastAt }) => lastAt));
  return [0, 1].map((side) => {
    const own = flows.filter((flow) => crosses(call, flow) && flow.side === side);
    return stripOf(own, start, end);
  });
}

function stripOf(flows: readonly PageFlow[], start: number, end: number): Strip {
  if (flows.length === 0) return '.'.repeat(PARTS);
  const marks = new Uint8Array(PARTS);
  const part = (time: number) =>
    Math.min(PARTS - 1, Math.max(0, Math.floor(((time - start) / (end - start || 1)) * PARTS)));
  for (const { density, lastAt } of flows) {
    for (const [bit, counts] of [density.passed, density.blocked].entries()) {
      for (const [bucket, count] of counts.entries()) {
        if (count === 0) continue;
        const from = density.from + bucket * density.width;
        const last = part(Math.min(from + density.width * 0.999, Math.max(from, lastAt)));
        for (let index = part(from); index <= last; index++) marks[index]! |= bit + 1;
      }
    }
  }
  return Array.from(marks, (mark) => '.pbx'[mark]).join('');
}
