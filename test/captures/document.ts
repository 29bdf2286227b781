import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withoutShared } from '../shared.ts';
import { compare } from './compare.ts';
import { COUNTED_OTHERWISE } from './counted-otherwise.ts';
import { EXCEPTIONS } from './exceptions.ts';
import { captureRows, type Row, type Truth, truths } from './manifest.ts';
import { replayFiles } from './replayed.ts';

/** docs/evidence/captures.md. Written anew by `npm run docs`; a test holds it in sync. */
export const DOCUMENT = fileURLToPath(new URL('../../docs/evidence/captures.md', import.meta.url));

/** The text of docs/evidence/captures.md, from replaying every public capture. */
export function captureDocument(): string {
  const all = truths();
  const rows = captureRows();
  const lines = [
    '# The public captures, replayed',
    '',
    `\`pinholed replay\` over ${rows.length} captures that others made and published, compared with what tshark alone found`,
    'in them. Nobody is "inside" here: every host may open pinholes towards itself. The rule: a media flow whose',
    'destination was announced passes with every packet, from its first one; a flow whose destination its owner never',
    'announced passes with none. What departs from it is listed below with the reason, and nothing else departs from it.',
    '`test/captures` checks all of this and writes this page (`node --import tsx test/captures/document.ts`).',
    '',
    '- **SIP**: messages read. **Calls**: call legs; the two sides of a proxy are two.',
    "- **Announced**: media flows whose destination some SDP had announced before, by tshark's reckoning, of all its media flows.",
    '- **Passed**, **blocked**: packets of all flows that are media or went to an announced address.',
    '- **Except.**: flows that depart from the rule.',
    '',
    '| Capture | Frames | SIP | Calls | Pinholes | Announced | Passed | Blocked | Except. |',
    '| --- | --: | --: | --: | --: | --: | --: | --: | --: |',
    ...rows.map((row) => tableRow(row, all.get(row.name))),
    '',
    '## Flows that depart from the rule',
    '',
    '"Remedy" is the setting with which all of the flow passes, for an administrator who knows the hosts.',
    '',
    '| Capture | Flow | What | Why that is right | Remedy |',
    '| --- | --- | --- | --- | --- |',
    ...EXCEPTIONS.map(
      ({ capture, flow, what, why, remedy }) =>
        `| ${capture} | \`${flow}\` | ${what} | ${why} | ${remedy === null ? '' : `\`${remedy.text}\``} |`,
    ),
    '',
    '## Captures of which other messages are read than tshark reads',
    '',
    '| Capture | tshark | read | Why |',
    '| --- | --: | --: | --- |',
    ...Object.entries(COUNTED_OTHERWISE).map(
      ([name, { read, why }]) =>
        `| ${name} | ${rows.find((row) => row.name === name)?.messages} | ${read} | ${why} |`,
    ),
  ];
  return `${lines.join('\n')}\n`;
}

function tableRow(row: Row, truth: Truth | undefined): string {
  const report = replayFiles([row.path], {}, { tunnels: row.features.includes('encap:gre') });
  const { frames, sip, calls, media } = report;
  const pinholes = calls.reduce((sum, call) => sum + call.pinholes.length, 0);
  const flows = truth?.flows.filter(({ is_media }) => is_media) ?? [];
  const announced = flows.filter(({ dst_announced_before }) => dst_announced_before).length;
  const exceptions = truth === undefined ? 0 : compare(truth, report).length;
  const cells = [
    row.name,
    frames,
    sip.messages,
    calls.length,
    pinholes,
    truth === undefined ? '' : `${announced} of ${flows.length}`,
    media.reduce((sum, { passed }) => sum + passed, 0),
    media.reduce((sum, { blocked }) => sum + blocked, 0),
    exceptions === 0 ? '' : exceptions,
  ];
  return `| ${cells.join(' | ')} |`;
}

if (process.argv[1] === fileURLToPath(import.meta.url) && withoutShared === false)
  writeFileSync(DOCUMENT, captureDocument());
