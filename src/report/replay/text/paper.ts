import type { FramePlace } from '../../../history/call-report.ts';
import { columnsOf, type Style, wrapText } from '../../style.ts';
import type { ReplayReport } from '../model.ts';

export const INDENT = '  ';

/** What the parts of a text are written on: its style, its width, how places are named. */
export interface Paper {
  readonly style: Style;
  readonly many: boolean;
  frameOf(place: FramePlace): string;
  /** `text` in lines that hang under each other, the first after `lead`. */
  hanging(lead: string, text: string, indent: number): Generator<string>;
  row(name: string, value: string): string;
}

export function createPaper({ files }: Pick<ReplayReport, 'files'>, style: Style): Paper {
  const many = files.length > 1;

  function* hanging(lead: string, text: string, indent: number): Generator<string> {
    const lines = wrapText(text, style.width - indent);
    for (const [index, line] of lines.entries()) {
      const padding = ' '.repeat(Math.max(0, indent - columnsOf(lead)));
      yield `${index === 0 ? `${lead}${padding}` : ' '.repeat(indent)}${line}\n`;
    }
  }

  return {
    style,
    many,
    frameOf: ({ frame, file }) => (many ? `#${file + 1}:${frame}` : `#${frame}`),
    hanging,
    row: (name, value) => `${INDENT}${name.padEnd(8)}${value}\n`,
  };
}
