import { type Address, parseAddress } from '../address/address.ts';
import { ControlError } from '../control/client.ts';
import { type Style, wrapText } from '../report/style.ts';
import { SelftestError } from '../selftest/error.ts';
import { LONGEST_STEP, type Step } from '../selftest/steps.ts';
import { jsonText, print, style } from './ask.ts';
import { command, exampleOf } from './command.ts';
import { configOption, configured, jsonOption } from './configured.ts';
import { thisMachine } from './machine.ts';

/** Exit statuses of `pinholed selftest`. */
const STATUS = { passed: 0, failed: 1, stopped: 2 } as const;

/** `pinholed selftest`: a call of its own through a copy of this machine's rules. */
export const selftest = command(
  (argv) =>
    argv
      .option('config', configOption)
      .option('host', {
        type: 'string',
        requiresArg: true,
        describe:
          'The address that calls, of a host inside; without it one that `nat` or `inside` names, or a neighbour',
        coerce: (text: string) => addressOf('--host', text),
      })
      .option('peer', {
        type: 'string',
        requiresArg: true,
        describe:
          'The address outside that is called, or its name under `peers`; without it the first there, or any',
      })
      .option('json', jsonOption)
      .option('as-host', { type: 'boolean', default: false, hidden: true })
      .example(exampleOf('pinholed selftest --config new.yaml', 'before the daemon is started with it'))
      .epilogue(
        'It needs root (on Linux ip and nft); it changes nothing, and no packet leaves the copy.\n' +
          'Exit status: 0 all passed, 1 there can be no test call, 2 it stopped somewhere.',
      ),
  async (args) => {
    if (args.asHost) return (await import('../selftest/host.ts')).beHost();
    if (process.geteuid?.() !== 0) return refuse('a copy of the ruleset is for root to make: run it as root');
    const found = configured(args.config, await thisMachine());
    if (found === null) return STATUS.failed;
    const { selftest: run } = await import('../selftest/run.ts');
    try {
      const { plan, rules, steps } = await run(found.settings, {
        host: args.host ?? null,
        peer: args.peer ?? null,
      });
      const who = {
        host: plan.host,
        announced: plan.announced,
        peer: plan.peer,
        inside: plan.inside.name,
        outside: plan.outside.name,
      };
      if (args.json) await print(jsonText({ ...who, rules, steps }));
      else await print(textOf(`Rules: ${rules}.`, steps, style()));
      return steps.every(({ state }) => state === 'passed') ? STATUS.passed : STATUS.stopped;
    } catch (error) {
      if (!(error instanceof SelftestError || error instanceof ControlError)) throw error;
      return refuse(error.message);
    }
  },
);

function refuse(why: string): number {
  console.error(`pinholed: no test call: ${why}`);
  return STATUS.failed;
}

const WIDTHS = { state: 'not reached'.length + 2, step: LONGEST_STEP + 2 } as const;

function textOf(head: string, steps: readonly Step[], { width, good, bad, quiet }: Style): string {
  const margin = ' '.repeat(WIDTHS.state + WIDTHS.step);
  const lines = steps.flatMap(({ step, state, text, advice }) => {
    const colour = state === 'passed' ? good : state === 'stopped' ? bad : quiet;
    const first = `${colour(state.padEnd(WIDTHS.state))}${step.padEnd(WIDTHS.step)}`;
    const words = wrapText(text, width - margin.length).map((line, at) => (at === 0 ? first : margin) + line);
    const more =
      advice === '' ? [] : wrapText(`→ ${advice}`, width - margin.length).map((line) => margin + line);
    return [...words.map((line) => line.trimEnd()), ...more];
  });
  const stopped = steps.filter(({ state }) => state === 'stopped').length;
  const last =
    stopped === 0
      ? good('A call passes, in both directions.')
      : bad(`It stopped at ${stopped} of ${steps.length} steps.`);
  return `${[...wrapText(head, width), '', ...lines, '', last].join('\n')}\n`;
}

function addressOf(option: string, text: string): Address {
  const address = parseAddress(text);
  if (address !== null) return address;
  throw new Error(`${option}: expected an IP address, found ${JSON.stringify(text)}`);
}
