import { countText, plural } from '../../../counted.ts';
import { printable } from '../../../printable.ts';
import { dateText, spanText } from '../../time.ts';
import type { ReplayReport } from '../model.ts';
import type { Paper } from './paper.ts';

/** The whole in a few lines: what was read, what was found, what to know about it. `calls` counts whole calls. */
export function* summary(
  { style, many, row, hanging }: Paper,
  report: ReplayReport,
  calls: number,
): Generator<string> {
  const { strong, quiet, bad, caution } = style;
  const { files, frames, firstAt, lastAt, sip, media, inside, truncated, unreadable } = report;
  for (const [index, file] of files.entries()) {
    const damage = report.damage.find((one) => one.file === index);
    const note = damage === undefined ? '' : bad(`  damaged, read up to offset ${damage.offset}`);
    yield `${strong(printable(file, 200))}${many ? quiet(`  frames #${index + 1}:n`) : ''}${note}\n`;
  }
  const span = firstAt === null ? '' : `, ${spanText((lastAt ?? firstAt) - firstAt)}`;
  const start = firstAt === null ? '' : ` from ${dateText(firstAt)} UTC`;
  yield row('frames', `${countText(frames)}${span}${start}`);
  if (truncated > 0) yield row('', caution(`${countText(truncated)} frames were cut by the snap length`));
  for (const [reason, count] of unreadable) {
    if (reason !== 'link-not-ip') yield row('', quiet(`${countText(count)} not readable: ${reason}`));
  }
  const transports = [`${countText(sip.byTransport.udp)} UDP`, `${countText(sip.byTransport.tcp)} TCP`];
  const malformed = sip.malformed === 0 ? '' : `, ${caution(`${countText(sip.malformed)} malformed`)}`;
  yield row('SIP', `${plural(sip.messages, 'message')} (${transports.join(', ')})${malformed}`);
  const pinholes = report.calls.reduce((sum, call) => sum + call.pinholes.length, 0);
  const legs = calls === report.calls.length ? '' : ` in ${plural(report.calls.length, 'leg')}`;
  yield row('calls', `${countText(calls)}${legs}, with ${plural(pinholes, 'pinhole')}`);
  const blocked = media.reduce((sum, flow) => sum + flow.blocked, 0);
  const passed = media.reduce((sum, flow) => sum + flow.passed, 0);
  const outcome = blocked === 0 ? 'none blocked' : bad(`${countText(blocked)} blocked`);
  yield row('media', `${plural(media.length, 'flow')}, ${plural(passed, 'packet')} passed, ${outcome}`);
  if (inside !== 'any') {
    yield* hanging('  inside', inside.join(', '), 10);
    if (report.insideAssumed) {
      const how = 'assumed, for they signal with public addresses; --inside says which are';
      yield* hanging('', quiet(how), 10);
    }
    yield row('', quiet('what leaves it passes; what enters it needs a pinhole or its state'));
  }
  const { from, to } = report.window;
  if (from !== null || to !== null) {
    yield row(
      'shown',
      `${from === null ? 'start' : dateText(from)} to ${to === null ? 'end' : dateText(to)}`,
    );
  }
  for (const note of report.notes) yield* hanging('  note', caution(note), 10);
}
