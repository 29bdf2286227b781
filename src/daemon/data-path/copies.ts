import type { Libc } from '../../../native-bindings/engine.ts';
import type { Address } from '../../address/address.ts';
import { networkSet } from '../../address/network.ts';
import { isRefusal, type Refusal } from '../../call/refusal.ts';
import { formatTransportAddress } from '../../config/kinds.ts';
import type { Settings } from '../../config/schema.ts';
import { createMirrorGate } from '../../inspector/mirrors.ts';
import { createNews } from '../../inspector/news.ts';
import { derived } from '../../inspector/settings.ts';
import type { Inspection, Inspector } from '../../inspector.ts';
import { AGENT } from '../../intercept/hep/chunks.ts';
import { decodeHep } from '../../intercept/hep/decode.ts';
import { type HepArrival, openHepListener } from '../../intercept/hep/listener.ts';
import type { DataPathDeps } from './deps.ts';

export interface CopiesDeps extends NonNullable<DataPathDeps['copies']> {
  readonly inspector: Pick<Inspector, 'inspectCopy' | 'refuse' | 'reachedAt'>;
  readonly settings: () => Settings;
  /** ms of a clock that never runs backwards. */
  readonly clock: () => number;
  /** Commits what no packet asked for, and tells of it. */
  readonly done: (inspection: Inspection) => void;
  /** A copy of what `source` sends to `destination` was taken, and what it asked for is open. */
  readonly copied: (source: Address, destination: Address, now: number) => void;
  /** Tells of an error where there should be none. */
  readonly unexpected: (where: string, error: unknown) => void;
}

/** Takes what hosts mirror by HEP, and does as if it had crossed the firewall; or refuses it by name. */
export function createCopies(deps: CopiesDeps) {
  const { listener, key, wall, inspector, settings, clock, done, unexpected } = deps;
  const isInside = derived(settings, ({ inside }) => networkSet(inside));
  const gate = createMirrorGate(
    () => settings().hep,
    key,
    (address) => isInside()(address),
    inspector.reachedAt,
  );
  const isNews = createNews();

  function refuse({ reason, detail }: Refusal, sender: string, now: number): void {
    done(inspector.refuse({ reason, detail }, isNews(`${reason} ${sender}`, now), now));
  }

  function takeOne({ sender, bytes, fault }: HepArrival): void {
    const now = clock();
    const unknown = gate.admit(sender);
    if (unknown !== null) {
      refuse(unknown, sender, now);
      return;
    }
    const copy = bytes === null ? { fault: fault ?? '' } : decodeHep(bytes);
    if ('fault' in copy) {
      refuse({ reason: 'hep-unreadable', detail: `${sender} sent ${copy.fault}` }, sender, now);
      return;
    }
    const refused = gate.authenticate(sender, copy.key, now);
    if (refused !== null) {
      refuse(refused, sender, now);
      return;
    }
    if (!copy.isSip) return;
    const judged = gate.examine(sender, copy, wall());
    if (isRefusal(judged)) {
      refuse(judged, sender, now);
      return;
    }
    // Daemons that mirror to each other would do so for ever.
    const goesOn = copy.agent !== AGENT;
    done(inspector.inspectCopy(judged.as, copy.transport, now, goesOn));
    deps.copied(judged.as.source, judged.as.destination, now);
  }

  return {
    wait: listener.wait,
    take(): void {
      for (const arrival of listener.receive()) {
        try {
          takeOne(arrival);
        } catch (error) {
          unexpected('a copy by HEP', error);
        }
      }
    },
    close: listener.close,
  };
}

/** The listener that the settings ask for; null where they ask for none. Throws SystemError. */
export function openCopies(
  libc: Libc,
  settings: () => Settings,
  key: Uint8Array | null,
): (NonNullable<DataPathDeps['copies']> & { readonly description: string }) | null {
  const { listen, transports, from } = settings().hep;
  if (listen === null) return null;
  const isSender = derived(settings, ({ hep }) => networkSet(hep.from));
  const listener = openHepListener(libc, {
    at: listen,
    transports,
    mayConnect: (sender) => isSender()(sender),
  });
  const hosts = from.map(({ text }) => text).join(', ');
  return {
    listener,
    key,
    wall: Date.now,
    description:
      `HEP on ${formatTransportAddress(listen)} (${transports.join(', ')}) from ${hosts}, ` +
      (key === null ? 'without a key' : 'with a key'),
  };
}
