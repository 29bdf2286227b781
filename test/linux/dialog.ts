import type { Event, Stage } from '../../lab/stage.ts';
import type { HostName } from '../../lab/topology.ts';
import { sdp, sip } from '../scene.ts';

type SipOptions = NonNullable<Parameters<typeof sip>[1]>;
type Lines = Parameters<typeof sdp>[1];

/** One call between two hosts; every method is one SIP message from who sends it to who gets it. */
export interface Dialog {
  readonly callId: string;
  /** A request of the caller: `INVITE`, `ACK`. */
  asks(method: string, options?: SipOptions): Event;
  /** A response of the callee: `200 INVITE`. */
  answers(start: string, options?: SipOptions): Event;
  /** The same the other way, within the dialog. */
  calleeAsks(method: string, options?: SipOptions): Event;
  callerAnswers(start: string, options?: SipOptions): Event;
  /** A description of the caller's, or the callee's, own address. */
  offer(lines: Lines): string;
  answer(lines: Lines): string;
  /** Offer and answer with one audio stream each, and the ACK. */
  establish(callerPort: number, calleePort: number): Event[];
  /** BYE and its 200. */
  hangUp(): Event[];
}

let calls = 0;

export function createDialog(stage: Stage, caller: HostName = 'client', callee: HostName = 'server'): Dialog {
  const callId = `call-${process.pid}-${++calls}@example.com`;
  const asks: Dialog['asks'] = (method, options = {}) =>
    stage.say(caller, callee, sip(method, { callId, ...options }));
  const answers: Dialog['answers'] = (start, options = {}) =>
    stage.say(callee, caller, sip(start, { callId, to: 'b', ...options }));
  const offer = (lines: Lines) => sdp(stage.announces(caller), lines);
  const answer = (lines: Lines) => sdp(stage.announces(callee), lines);
  return {
    callId,
    asks,
    answers,
    calleeAsks: (method, options = {}) =>
      stage.say(callee, caller, sip(method, { callId, from: 'b', to: 'a', ...options })),
    callerAnswers: (start, options = {}) =>
      stage.say(caller, callee, sip(start, { callId, from: 'b', to: 'a', ...options })),
    offer,
    answer,
    establish: (callerPort, calleePort) => [
      asks('INVITE', { body: offer([callerPort]) }),
      answers('200 INVITE', { body: answer([calleePort]) }),
      asks('ACK', { to: 'b' }),
    ],
    hangUp: () => [asks('BYE', { to: 'b', cseq: 99 }), answers('200 BYE', { cseq: 99 })],
  };
}
