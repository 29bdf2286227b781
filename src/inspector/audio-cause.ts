import type { Address } from '../address/address.ts';
import { isPrivate } from '../address/private.ts';
import { type Call, otherSide } from '../call/call.ts';
import { portsText, transportText } from '../call/description.ts';
import { isUsual, REFUSALS, type RefusalReason } from '../call/refusal.ts';
import { isEnabled } from '../call/transport.ts';
import { ownerOf, PARTIES, type Side } from '../call/wanted.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import type { Held } from '../pinhole/table.ts';

/** Why a party probably gets no audio, in words, as a replay says why media was blocked. */
export interface AudioCause {
  /** `nat`, `refused`, or what was seen: `nothing-came`, `nothing-sent`. */
  readonly reason: 'nat' | 'refused' | 'nothing-came' | 'nothing-sent';
  readonly text: string;
  /** What the reader can do about it. */
  readonly advice: string;
}

const MOST_REFUSED = 3;

/**
 * What is known of why audio does not reach this party, the likeliest first: that it announced where nobody outside reaches
 * it, or where its own announcements got no pinhole; and in any case what was seen. `refused`: reasons for which something of
 * the call got no pinhole.
 */
export function causesOf(
  call: Call,
  to: Side,
  held: readonly Held[],
  refused: (call: Call) => readonly RefusalReason[],
): AudioCause[] {
  const from = otherSide(to);
  return [
    ...behindNat(call, to, call.parties[from]),
    ...refused(call)
      .filter((reason) => !isUsual(reason))
      .slice(0, MOST_REFUSED)
      .map(refusedCause),
    nothingSeen(call, to, from, held),
  ];
}

/** Where a party awaits audio by its own words. */
function announcedBy(call: Call, side: Side): { readonly address: Address; readonly port: number } | null {
  for (const { agreed } of call.dialogs) {
    for (const stream of agreed?.sides[side].session.streams ?? []) {
      const { media, connection, port } = stream;
      if (media === 'audio' && isEnabled(stream) && connection.kind === 'address') {
        return { address: connection.address, port };
      }
    }
  }
  return null;
}

function behindNat(call: Call, to: Side, sender: Address): AudioCause[] {
  const announced = announcedBy(call, to);
  if (announced === null || !isPrivate(announced.address) || isPrivate(sender)) return [];
  const { address, port } = announced;
  return [
    {
      reason: 'nat',
      text: `The ${PARTIES[to]} (${call.parties[to]}) announced the private address ${transportText(address, port)} to ${sender}: from outside its own network nobody reaches it.`,
      advice: `Let it announce the address it is reached at (external address, NAT or STUN setting), and see nat if that is an address of this firewall.`,
    },
  ];
}

function refusedCause(reason: RefusalReason): AudioCause {
  const { means, advice } = REFUSALS[reason];
  return { reason: 'refused', text: `Something of this call was refused (${reason}). ${means}`, advice };
}

/** Whether what is counted in it may be audio. What RTP and RTCP share is counted together. */
export function carriesAudio({ media, kind }: Pinhole): boolean {
  return media === 'audio' && kind !== 'rtcp';
}

/** A pinhole through which audio is awaited: agreed on, and not on its way to being closed. */
export function awaitsAudio({ pinhole, agreed, reason }: Held): boolean {
  return agreed && reason === null && carriesAudio(pinhole);
}

function nothingSeen(call: Call, to: Side, from: Side, held: readonly Held[]): AudioCause {
  const own = held.find((one) => ownerOf(one.slot) === to && awaitsAudio(one))?.pinhole;
  const [receiver, sender] = [call.parties[to], call.parties[from]];
  if (own !== undefined) {
    const sources = own.sources === 'any' ? 'everybody' : own.sources.join(', ');
    return {
      reason: 'nothing-came',
      text: `The pinhole to the ${PARTIES[to]}, ${transportText(own.address, portsText(own.ports))}, is open for ${sources}, and nothing comes: the ${PARTIES[from]} (${sender}) sends none, sends it from another address, or it is lost before it comes here.`,
      advice: `Look with tcpdump whether packets for port ${own.ports[0]} arrive, and from where: if from another address that is the peer's, let the peer announce it, or set media-source: any.`,
    };
  }
  const announced = announcedBy(call, to);
  const where = announced === null ? receiver : transportText(announced.address, announced.port);
  return {
    reason: 'nothing-sent',
    text: `The ${PARTIES[from]} (${sender}) sends nothing to where the ${PARTIES[to]} awaits it, ${where}: it is muted, sends elsewhere, or a rule of yours stops it before it passes.`,
    advice: `Look with tcpdump whether it sends; if your ruleset lets inside hosts send only what is allowed, set outbound: true.`,
  };
}
