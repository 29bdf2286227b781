import type { HandoverResult } from '../control/protocol.ts';
import { askOptions, STATUS, show, withDaemon } from './ask.ts';
import { command } from './command.ts';

/** `pinholed handover`: waits until the other firewalls of the group have all that this one knows. */
export const handover = command(
  (argv) => askOptions(argv).epilogue('Exit status 1: they have not, and this one is still needed.'),
  (args) =>
    withDaemon(args, async (client) => {
      const result = await show<HandoverResult>(client, args, { request: 'handover' }, textOf);
      return result.isHandedOver ? STATUS.ok : STATUS.failed;
    }),
);

function textOf({ isHandedOver, others, calls, why }: HandoverResult): string {
  if (!isHandedOver) return `Not handed over: ${why}.\n`;
  return `${others.join(', ')} ${others.length === 1 ? 'has' : 'have'} all ${calls} calls: this firewall may be stopped.\n`;
}
