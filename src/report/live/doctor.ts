import { CHECKS, type Finding, type FindingSection, SECTIONS } from '../../checks/finding.ts';
import { plural } from '../../counted.ts';
import { VERSION } from '../../version.ts';
import { type Style, wrapText } from '../style.ts';

/** What `pinholed doctor --json` prints. */
export interface DoctorReport {
  readonly version: string;
  readonly platform: string;
  /** The configuration file; null: there is none, and the defaults are in force. */
  readonly configuration: string | null;
  readonly faults: number;
  readonly cautions: number;
  /** Checks that could not be made. */
  readonly unknown: number;
  readonly findings: readonly (Finding & { readonly section: FindingSection })[];
}

/** Findings with their sections and what there is of each level. */
export function reportOf(
  platform: string,
  configuration: string | null,
  findings: readonly Finding[],
): DoctorReport {
  const count = (level: Finding['level']) => findings.filter((one) => one.level === level).length;
  return {
    version: VERSION,
    platform,
    configuration,
    faults: count('fault'),
    cautions: count('caution'),
    unknown: count('unknown'),
    findings: findings.map((one) => ({ section: CHECKS[one.check], ...one })),
  };
}

const INDENT = 2;
const LEVEL_WIDTH = 'caution'.length + 2;

/** The report for people: a line for each finding, by section, with what to do below it. */
export function doctorText(report: DoctorReport, style: Style): string {
  const { faults, cautions, unknown, findings } = report;
  const sections = SECTIONS.flatMap((section) => {
    const found = findings.filter((one) => one.section === section);
    return found.length === 0
      ? []
      : [style.strong(section), ...found.flatMap((one) => lines(one, style)), ''];
  });
  const counts = [
    ...(faults > 0 ? [style.bad(plural(faults, 'fault'))] : []),
    ...(cautions > 0 ? [style.caution(plural(cautions, 'caution'))] : []),
    ...(unknown > 0 ? [`${plural(unknown, 'check')} not made`] : []),
  ];
  return `${[...sections, counts.length === 0 ? style.good('all is well') : counts.join(', ')].join('\n')}\n`;
}

function lines({ level, text, advice }: Finding, { width, good, bad, caution, quiet }: Style): string[] {
  const colour = { ok: good, caution, fault: bad, unknown: quiet }[level];
  const margin = ' '.repeat(INDENT + LEVEL_WIDTH);
  const block = (words: string, first: string, rest: string) =>
    wrapText(words, width - margin.length - rest.length).map((line, at) => (at === 0 ? first : rest) + line);
  return [
    ...block(text, '', '').map((line, at) =>
      at === 0 ? `${' '.repeat(INDENT)}${colour(level.padEnd(LEVEL_WIDTH))}${line}` : margin + line,
    ),
    ...(advice === '' ? [] : block(advice, '→ ', '  ').map((line) => margin + line)),
  ];
}
