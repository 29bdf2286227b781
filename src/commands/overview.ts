import { wrapText } from '../report/style.ts';

interface Group {
  readonly heading: string;
  readonly commands: readonly { readonly usage: string; readonly about: string }[];
}

/** `pinholed --help`: written here because yargs knows no headings for commands. */
export function overview(groups: readonly Group[], columns: number): string {
  const width = Math.max(...groups.flatMap(({ commands }) => commands.map(({ usage }) => usage.length)));
  const row = ({ usage, about }: Group['commands'][number]) =>
    wrapText(about, columns - width - 4).map(
      (line, index) => `  ${(index === 0 ? usage : '').padEnd(width)}  ${line}`,
    );
  return [
    'Usage: pinholed COMMAND [OPTIONS]',
    ...groups.map(({ heading, commands }) => [heading, ...commands.flatMap(row)].join('\n')),
    'Options:\n  -h, --help     Show this, or with a command what it does and its options\n  -V, --version  Show the version',
  ].join('\n\n');
}
