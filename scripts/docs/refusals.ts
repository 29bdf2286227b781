import { REFUSALS } from '../../src/call/refusal.ts';
import { BLOCK_REASONS } from '../../src/report/replay/block-reasons.ts';

const HEAD = `# Refusals

<!-- Generated from src/call/refusal.ts and src/report/replay/block-reasons.ts: npm run docs -->

A stream that gets no pinhole gets a reason, always, and it is one of this list. The signalling itself passes all the
same (but see \`strict\`). The reason is in the log, is counted in the statistics and is shown by \`pinholed replay\`,
there and in its \`--json\` as \`refusals[].reason\`.
`;

const BLOCKS = `## Blocked media in a replay

\`pinholed replay\` says of every media flow why packets of it would have been blocked (\`media[].blocks[].reason\`), with a
sentence that names hosts, ports and frames, and what can be done about it.
`;

/** docs/refusals.md. */
export function refusalsMarkdown(): string {
  const refusals = Object.entries(REFUSALS).map(([name, { means, advice }]) => [
    `\`${name}\``,
    means,
    advice,
  ]);
  const blocks = Object.entries(BLOCK_REASONS).map(([name, means]) => [`\`${name}\``, means]);
  return [
    HEAD,
    table(['Refusal', 'What it means', 'What to do'], refusals),
    BLOCKS,
    table(['Reason', 'What it means'], blocks),
  ].join('\n');
}

/** A Markdown table, with an empty line behind it. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line), ''].join('\n');
}
