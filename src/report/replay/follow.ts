import { transportText } from '../../call/description.ts';
import { watchedEvents } from '../../control/watched.ts';
import { createModelFirewall } from '../../firewall/model.ts';
import { summaryOf } from '../../history/traces.ts';
import type { Happening, MessageHappening } from '../../inspector/happening.ts';
import { createInspector, type Inspection, type InspectorSettings } from '../../inspector.ts';
import { type Frame, inPlace } from '../../intercept/capture.ts';
import { printable } from '../../printable.ts';
import { watchLine } from '../live/watch.ts';
import { dateText } from '../time.ts';
import { createFrameReader } from './frames.ts';

export interface FollowOptions {
  readonly settings: InspectorSettings;
  /** Look into tunnels. */
  readonly tunnels: boolean;
  /** Whether SIP is looked for in a packet between these ports. */
  readonly isSip: (sourcePort: number, destinationPort: number) => boolean;
  /** One JSON object a line, as `pinholed watch --json` writes them; else text. */
  readonly json: boolean;
}

/**
 * Tells of each frame what it leads to, in lines without their ends: messages of calls (in text only), pinholes that would
 * open and close, refusals. Nothing is kept but what the inspector itself keeps, so that it may run for as long as it
 * likes. What only time brings is told with the next frame.
 */
export function createFollow({ settings, tunnels, isSip, json }: FollowOptions): (frame: Frame) => string[] {
  const inspector = createInspector(() => settings);
  const firewall = createModelFirewall();
  const frames = createFrameReader(tunnels, settings.caps.reassemblyBytes);
  let now = 0;
  let count = 0;

  return (one) => {
    count++;
    now = Math.max(now, one.time);
    const lines = inspector.nextDeadline() <= now ? told(inspector.tick(now), true) : [];
    const framed = frames.read(inPlace(one), now);
    if (framed === null || framed.packet.protocol === 'other') return lines;
    const { packet } = framed;
    const { protocol, source, sourcePort, destination, destinationPort } = packet;
    if (isSip(sourcePort, destinationPort)) {
      const inspection = inspector.inspectPacket(packet, now);
      lines.push(...told(inspection, framed.isCopy));
      if (inspection.events.some(({ type }) => type === 'message' || type === 'malformed')) return lines;
    }
    if (protocol === 'udp') {
      const flow = { protocol, source, sourcePort, destination, destinationPort };
      const { pinhole } = firewall.ask(flow, packet.payload.length, now);
      if (pinhole !== null) inspector.traffic(pinhole, now);
      for (const id of firewall.answered(flow)) inspector.traffic(id, now, 'sent');
    }
    return lines;
  };

  function told({ change, events }: Inspection, withoutMessages: boolean): string[] {
    if (change !== null) {
      firewall.commit(change);
      firewall.retire({ closed: change.close });
    }
    return events.flatMap((event) => linesOf(event, withoutMessages));
  }

  function linesOf(event: Happening, withoutMessages: boolean): string[] {
    if (event.type === 'message')
      return json || withoutMessages || !isOfCall(event) ? [] : [messageLine(event)];
    const occasion = { packet: count, at: event.at, deadline: false, happenings: [event] };
    const watched = watchedEvents([occasion], [], (at) => at / 1000);
    return watched.map((one) => (json ? JSON.stringify(one) : watchLine(one)));
  }
}

function isOfCall({ legIds }: MessageHappening): boolean {
  return legIds.length > 0;
}

function messageLine({ at, message, packet, description, legIds }: MessageHappening): string {
  const from = transportText(packet.source, packet.sourcePort);
  const to = transportText(packet.destination, packet.destinationPort);
  const body = description === null ? '' : `  ${printable(description, 512)}`;
  return `${dateText(at)} ${legIds[0]} ${from} > ${to} ${summaryOf(message)}${body}`;
}
