import { REFUSALS } from '../../../call/refusal.ts';
import { printable } from '../../../printable.ts';
import type { LooseResponse } from '../signalling/transactions.ts';
import type { UnreadDescription } from '../signalling/unread.ts';
import { type Knowledge, said } from './knowledge.ts';

export interface Reason {
  readonly text: string;
  readonly advice: string;
}

/** Why a response was taken for none of the requests that were seen (RFC 3261 17.1.3, 12.1, 18.1.2). */
export function whyNoRequest(response: LooseResponse, known: Knowledge): Reason {
  const { source, destination, callId, cseq, cseqMethod, branch, fromTag, at } = response;
  const { seen } = known;
  const method = printable(cseqMethod, 20);
  const requests = known.signalling
    .requests(callId)
    .filter((one) => one.method === cseqMethod && one.cseq === cseq);
  const towards = requests.filter((one) => one.source === destination);
  const [match] = [
    ...towards.filter((one) => one.branch === branch && one.destination === source),
    ...towards.filter((one) => one.branch === branch),
    ...towards,
  ];
  if (match !== undefined) {
    const request = `the ${method} in ${known.frame(match.place)}`;
    const refusal = known.refusalOf(match.place);
    if (match.fromTag !== fromTag) {
      return {
        text: `Its From tag ${quoted(fromTag)} is not that of ${request} (${quoted(match.fromTag)}), so it is the answer to another request.`,
        advice:
          'RFC 3261 8.2.6.2: a response has the From tag of its request. A forged message, or a faulty device.',
      };
    }
    if (match.branch !== branch) {
      return {
        text: `Its Via branch is not that of ${request}: it answers another one (RFC 3261 17.1.3).`,
        advice: `A forged response, or one to a request that is not in this ${seen.name}.`,
      };
    }
    if (refusal !== null) {
      return {
        text: `It answers ${request}, which was refused (${refusal.reason}): ${refusal.detail}.`,
        advice: REFUSALS[refusal.reason].advice,
      };
    }
    if (match.destination !== source) {
      return {
        text: `It answers ${request}, but comes from ${source}, to which that was not sent: it went to ${match.destination}.`,
        advice: `If ${source} and ${match.destination} are nodes of one provider, name them as one of peers.`,
      };
    }
    if (match.isInDialog && known.signalling.requests(callId).every(({ isInDialog }) => isInDialog)) {
      return {
        text: `It answers ${request}, of a call that had begun before this ${seen.name}.`,
        advice: seen.fromStart,
      };
    }
    return {
      text: `It answers ${request}, whose call was over or had its answer by then.`,
      advice: 'Look at the ladder of the call.',
    };
  }
  const unread = known.signalling.unreadMessage('request', destination, source, callId, at);
  if (unread !== null) {
    const { text, advice } = whyUnread(unread);
    return { text: `The request that it answers is in ${said(unread, known)}, but ${text}.`, advice };
  }
  const back = known.signalling.count(destination, source);
  if (back === 0) {
    const messages = known.signalling.count(source, destination);
    return {
      text: `Only messages from ${source} to ${destination} are in this ${seen.name} (${messages}), none the other way: one direction of the signalling is missing, the ${method} with it.`,
      advice: seen.bothWays,
    };
  }
  const elsewhere = requests[0];
  if (elsewhere !== undefined) {
    return {
      text: `The ${method} with its Call-ID went from ${elsewhere.source} to ${elsewhere.destination} (${known.frame(elsewhere.place)}), not from ${destination}: the leg that it answers is not in this ${seen.name}.`,
      advice: seen.allLegs,
    };
  }
  return {
    text: `No ${method} with its Call-ID is in this ${seen.name}: the ${seen.name} began after it, or it was sent on another way.`,
    advice: seen.fromStartBothWays,
  };
}

/** What was wrong with a message or its description, in words that go on from "but". */
export function whyUnread({ why, advice, refusal }: UnreadDescription): Reason {
  if (refusal === null) return { text: why, advice };
  const { means } = REFUSALS[refusal.reason];
  const what =
    refusal.detail === '' || refusal.detail === refusal.reason ? means.replace(/\.$/, '') : refusal.detail;
  return {
    text: `that was refused (${refusal.reason}): ${what}`,
    advice: advice === '' ? REFUSALS[refusal.reason].advice : advice,
  };
}

function quoted(tag: string): string {
  return tag === '' ? '(none)' : printable(tag, 40);
}
