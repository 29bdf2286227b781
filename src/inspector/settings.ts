import type { Network } from '../address/network.ts';
import type { Peer } from '../address/peer.ts';
import type { PortRange } from '../address/ports.ts';
import type { StaticMedia } from '../address/static-media.ts';
import type { CallCaps, CallTimers } from '../call/context.ts';
import type { StreamSettings } from '../call/streams.ts';
import type { AdmissionCaps } from '../policy/admission.ts';
import type { PolicySettings } from '../policy/policy.ts';

/** Who may mirror what. */
export interface MirrorSettings {
  /** Hosts that send copies. Each speaks for itself. */
  readonly from: readonly Network[];
  /** Hosts that they speak for beside themselves. */
  readonly speaksFor: readonly Network[];
  /** ms that a copy may be older or younger than our clock. */
  readonly maxAge: number;
  readonly messagesPerSecond: number;
}

/** Everything the inspector is told; all of it can change while it runs. */
export interface InspectorSettings extends PolicySettings, StreamSettings {
  /** Drop what arrives as SIP but cannot be read. */
  readonly strict: boolean;
  /** Hosts whose signalling comes in copies, where it does. */
  readonly hep?: Pick<MirrorSettings, 'from' | 'speaksFor'> & { readonly listen: unknown };
  /** Peers whose signalling nobody can read, and what is open while they are there; left out: none. */
  readonly staticMedia?: readonly StaticMedia[];
  /** Ports on which a connection of theirs counts. */
  readonly sipPorts?: readonly PortRange[];
  /** Where other firewalls see a part of what passes: the store in which they share their calls. */
  readonly peersStore?: { readonly url: string | null };
  /** A connection that was up before is read at once if the first segment seen begins like SIP (only for captures). */
  readonly trustMidstream?: boolean;
  readonly timers: CallTimers & {
    readonly iceUnused: number;
    readonly tcpPartial: number;
    /** 0: never. */
    readonly noAudio: number;
  };
  readonly caps: AdmissionCaps &
    CallCaps &
    StreamSettings['caps'] & {
      readonly pinholesPerCall: number;
      readonly staticPorts: number;
      readonly streams: number;
      readonly candidates: number;
      readonly headers: number;
      readonly messageBytes: number;
      readonly tcpConnections: number;
      readonly reassemblyBytes: number;
    };
}

/** Where media may come from in a call with this peer, whose own settings go before the general ones. */
export function mediaSettings(general: StreamSettings, peer: Peer | null): StreamSettings {
  if (peer === null) return general;
  const { ice, symmetric, caps } = general;
  const earlyMediaSource = peer.earlyMediaSource ?? general.earlyMediaSource;
  return { ice, symmetric, caps, earlyMediaSource, mediaSource: peer.mediaSource ?? general.mediaSource };
}

/** What follows from the settings, worked out once for each of them. */
export function derived<Settings, Value>(
  settings: () => Settings,
  workOut: (settings: Settings) => Value,
): () => Value {
  let from = settings();
  let value = workOut(from);
  return () => {
    const present = settings();
    if (present === from) return value;
    from = present;
    value = workOut(present);
    return value;
  };
}
