import type { AcknowledgeResult } from '../control/protocol.ts';
import { askOptions, STATUS, show, withDaemon } from './ask.ts';
import { command } from './command.ts';

/** `pinholed acknowledge`: alarms over what happened are gone until it happens again. */
export const acknowledge = command(
  (argv) =>
    askOptions(argv).positional('alarm', {
      type: 'string',
      describe: 'Its name, as `pinholed status` shows it; all where none is given',
    }),
  (args) =>
    withDaemon(args, async (client) => {
      const { alarm } = args;
      const request = { request: 'acknowledge', ...(alarm !== undefined && { alarm }) } as const;
      await show<AcknowledgeResult>(client, args, request, textOf);
      return STATUS.ok;
    }),
);

function textOf({ cleared, stay }: AcknowledgeResult): string {
  const lines = [
    ...cleared.map((name) => `cleared ${name}`),
    ...stay.map((name) => `${name} stays: it clears when what it is about is over`),
  ];
  return lines.length === 0 ? 'No alarms.\n' : `${lines.join('\n')}\n`;
}
