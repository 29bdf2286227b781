import { setImmediate as nextTurn } from 'node:timers/promises';
import type { RecordedMessage, Recording } from '../daemon/recording.ts';
import type { RunningDaemon } from '../daemon/serve.ts';
import type { History } from '../history/history.ts';
import { withoutSecrets } from '../sip/secrets.ts';
import { rememberedLegs, unknownCall } from './named.ts';
import { type RecordingResult, RequestError } from './protocol.ts';
import { seconds } from './units.ts';

/** Messages in one line of the answer: base64 of the largest ones has to fit. */
const PER_LINE = 16;
/** Messages that are looked at before others have their turn. */
const AT_A_TIME = 500;

/** Which messages are one call's. */
interface Wanted {
  readonly legs: ReadonlySet<string>;
  /** Call-IDs of these legs: what belongs to no leg (an ACK after a failure) belongs to them. */
  readonly callIds: ReadonlySet<string>;
  /** All messages with this Call-ID are wanted. */
  readonly names: ReadonlySet<string>;
}

/**
 * The recorded messages of a call, oldest first, without credentials and keys. `name` is as in `explain`; a call that the
 * history has forgotten is found by its whole Call-ID or the whole name of its leg. `epoch`: that of the daemon's clock in
 * ms. Throws RequestError.
 */
export async function* recordedMessages(
  name: string,
  daemon: Pick<RunningDaemon, 'recording'>,
  history: Pick<History, 'find' | 'get'>,
  epoch: number,
): AsyncGenerator<RecordingResult> {
  const { recording } = daemon;
  if (recording === null) {
    throw new RequestError('not-recorded', 'the messages of calls are not recorded: daemon.recording is off');
  }
  const wanted = wantedBy(name, history);
  let part: RecordingResult['messages'][number][] = [];
  let found = 0;
  for await (const message of chosen(recording, wanted)) {
    const bytes = message.bytes();
    if (bytes === null) continue;
    found++;
    const { at, transport, source, sourcePort, destination, destinationPort, legs, callId } = message;
    part.push({
      ...{ at: seconds(epoch + at), transport, src: source, srcPort: sourcePort },
      ...{ dst: destination, dstPort: destinationPort, legIds: legs, callId },
      bytes: withoutSecrets(bytes).toString('base64'),
    });
    if (part.length < PER_LINE) continue;
    yield { messages: part };
    part = [];
  }
  if (part.length > 0) yield { messages: part };
  if (found > 0) return;
  const { code, message } = unknownCall(name);
  throw new RequestError(
    code,
    `${message}: its messages are not in the recording, or not any more (daemon.recording)`,
  );
}

function wantedBy(name: string, history: Pick<History, 'find' | 'get'>): Wanted {
  const reports = rememberedLegs(name, history).map(({ report }) => report);
  if (reports.length === 0) return { legs: new Set([name]), callIds: new Set(), names: new Set([name]) };
  const callIds = new Set(reports.map(({ callId }) => callId));
  return {
    legs: new Set(reports.map(({ legId }) => legId)),
    callIds,
    names: new Set(callIds.has(name) ? [name] : []),
  };
}

async function* chosen(
  recording: Recording,
  { legs, callIds, names }: Wanted,
): AsyncGenerator<RecordedMessage> {
  let looked = 0;
  for (const message of recording.messages()) {
    if (++looked % AT_A_TIME === 0) await nextTurn();
    const isBeside = message.legs.length === 0 && callIds.has(message.callId);
    if (isBeside || message.legs.some((leg) => legs.has(leg)) || names.has(message.callId)) yield message;
  }
}
