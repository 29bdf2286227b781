import { configurationMarkdown } from '../config/markdown.ts';
import { configurationMdoc } from '../config/mdoc.ts';
import { printConfig, printJson, printSample } from '../config/print.ts';
import type { Settings } from '../config/schema.ts';
import { command } from './command.ts';
import { configOption, configured } from './configured.ts';

const formats = {
  yaml: (settings) => printConfig(settings),
  json: printJson,
  sample: () => printSample(),
  markdown: configurationMarkdown,
  mdoc: configurationMdoc,
} as const satisfies Record<string, (settings: Settings) => string>;

/** `pinholed config --print`: the settings of the file, or what there is to set. */
export const config = command(
  (argv) =>
    argv
      .option('config', configOption)
      .option('print', { type: 'boolean', default: true, describe: 'Print all settings with what they mean' })
      .option('format', {
        choices: Object.keys(formats) as (keyof typeof formats)[],
        requiresArg: true,
        default: 'yaml' as const,
        describe:
          'yaml and json: the settings of the file; the others: what there is to set, with its defaults',
      }),
  (args) => {
    const found = configured(args.config);
    if (found === null) return 1;
    if (args.print) process.stdout.write(formats[args.format](found.settings));
    return 0;
  },
);
