import type { Event, Stage } from '../../lab/stage.ts';
import { createDialog, type Dialog } from './dialog.ts';

export interface PlayedCall {
  readonly dialog: Dialog;
  /** Of the client and of the server. */
  ports: readonly [number, number];
  cseq: number;
}

/** Many calls of the client to the server, each with ports of its own; what happens in one of them, as events of a stage. */
export interface PlayedCalls {
  /** `on`: another stage than the one that all play on by themselves. */
  callsUp(count: number, on?: Stage): PlayedCall[];
  establish(call: PlayedCall): Event[];
  /** It passes, both ways. */
  media(call: PlayedCall): Event[];
  hold(call: PlayedCall): Event[];
  resume(call: PlayedCall): Event[];
  /** Both take other ports. */
  moveMedia(call: PlayedCall): Event[];
  hangUp(call: PlayedCall): Event[];
  play(calls: readonly PlayedCall[], what: (call: PlayedCall) => readonly Event[]): Promise<void>;
}

/** Ports of the client are from `firstPort` on, those of the server 20,000 higher. `stage` is asked for when it is needed. */
export function createPlayedCalls(stage: () => Stage, firstPort: number): PlayedCalls {
  let nextPort = firstPort;

  function nextPorts(): PlayedCall['ports'] {
    nextPort += 2;
    return [nextPort, nextPort + 20_000];
  }

  /** Another offer of the client's, with its answer and the ACK. */
  function renew(call: PlayedCall, direction: string): Event[] {
    const { dialog, ports } = call;
    call.cseq++;
    const { cseq } = call;
    const line = (port: number) => [{ port, attributes: [direction] }];
    return [
      dialog.asks('INVITE', { to: 'b', cseq, body: dialog.offer(line(ports[0])) }),
      dialog.answers('200 INVITE', { cseq, body: dialog.answer(line(ports[1])) }),
      dialog.asks('ACK', { to: 'b', cseq }),
    ];
  }

  const resume = (call: PlayedCall) => renew(call, 'sendrecv');

  return {
    callsUp: (count, on = stage()) =>
      Array.from({ length: count }, () => ({ dialog: createDialog(on), ports: nextPorts(), cseq: 1 })),
    establish: ({ dialog, ports }) => dialog.establish(...ports),
    media: ({ ports: [client, server] }) => [
      stage().passes(`client:${client}`, `server:${server}`),
      stage().passes(`server:${server}`, `client:${client}`),
    ],
    hold: (call) => renew(call, 'inactive'),
    resume,
    moveMedia(call) {
      call.ports = nextPorts();
      return resume(call);
    },
    hangUp: ({ dialog }) => dialog.hangUp(),
    play: (calls, what) => stage().play(...calls.flatMap(what)),
  };
}
