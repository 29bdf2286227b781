import { Buffer } from 'node:buffer';
import type { ControlClient } from '../control/client.ts';
import type { RecordingResult } from '../control/protocol.ts';
import { plural } from '../counted.ts';
import { writeReason } from '../reason.ts';
import { withBlocked } from '../report/live/blocked.ts';
import { type ExplainResult, readExplained } from '../report/live/explain.ts';
import { explainText } from '../report/live/explain-text.ts';
import { writeNewFile } from '../report/pcap/file.ts';
import { type CapturedMessage, captureOf } from '../report/pcap/write.ts';
import { redactExplained } from '../report/redact/explained.ts';
import { redactMessage } from '../report/redact/message.ts';
import { createTokens, type Tokens } from '../report/redact/tokens.ts';
import { askOptions, gather, jsonText, print, STATUS, style, withDaemon } from './ask.ts';
import { command } from './command.ts';

/** `pinholed explain`: what happened in a call and why, also after its end. */
export const explain = command(
  (argv) =>
    askOptions(argv)
      .positional('call', {
        type: 'string',
        demandOption: true,
        describe: 'Its Call-ID, or its name of 16 digits or the first of them',
      })
      .option('html', {
        type: 'boolean',
        default: false,
        describe: 'The same as a page with its ladder, in one file that needs no other',
      })
      .option('pcap', {
        type: 'string',
        requiresArg: true,
        describe:
          'Write its messages into this new file, a capture without credentials and keys; nothing else, but with --html or --json',
      })
      .option('redact', {
        type: 'boolean',
        default: false,
        describe:
          'Names, numbers, addresses and keys become tokens, the same for the same, to be shown to others',
      }),
  (args) =>
    withDaemon(args, async (client) => {
      const tokens = args.redact ? createTokens() : null;
      if (args.pcap !== undefined) {
        const status = await writeCapture(client, args.call, args.pcap, tokens);
        if (status !== STATUS.ok || !(args.html || args.json)) return status;
      }
      const request = { request: 'explain', call: args.call } as const;
      const legs = await gather<ExplainResult, ExplainResult>(client, request, (part) => [
        tokens === null ? part : redactExplained(part, tokens),
      ]);
      if (args.json) await print(jsonText({ calls: legs }));
      else
        await print(
          args.html
            ? await pageOf(legs)
            : legs.map((leg) => explainText(leg, Date.now() / 1000, style())).join(''),
        );
      return STATUS.ok;
    }),
);

async function writeCapture(
  client: ControlClient,
  call: string,
  path: string,
  tokens: Tokens | null,
): Promise<number> {
  const request = { request: 'recording', call } as const;
  const messages = await gather<RecordingResult, CapturedMessage>(client, request, (part) =>
    part.messages.map((one) => readMessage(one, tokens)),
  );
  try {
    writeNewFile(path, captureOf(messages));
  } catch (error) {
    console.error(`pinholed: ${path}: ${writeReason(error)}`);
    return STATUS.failed;
  }
  console.error(`${plural(messages.length, 'message')} written to ${path}`);
  return STATUS.ok;
}

function readMessage(one: RecordingResult['messages'][number], tokens: Tokens | null): CapturedMessage {
  const bytes = Buffer.from(one.bytes, 'base64');
  const address = (text: string) => (tokens === null ? text : tokens.address(text));
  return {
    at: one.at * 1000,
    transport: one.transport,
    source: { address: address(one.src), port: one.srcPort },
    destination: { address: address(one.dst), port: one.dstPort },
    bytes: tokens === null ? bytes : redactMessage(bytes, tokens),
  };
}

/** The page's code is loaded only for who wants it. */
async function pageOf(legs: readonly ExplainResult[]): Promise<string> {
  const [{ callHtml }, { livePicture }] = await Promise.all([
    import('../report/page/html.ts'),
    import('../report/page/pictures.ts'),
  ]);
  const now = Date.now();
  return callHtml(
    legs.map((leg) => withBlocked(livePicture(readExplained(leg), now), leg.blocked ?? [])),
    now,
  );
}
