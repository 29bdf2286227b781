import type { Settings } from '../../config/schema.ts';
import { deviationOf } from '../../firewall/deviation.ts';
import { type Firewall, type FirewallControl, NOT_COUNTED } from '../../firewall/firewall.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import type { DaemonPlatform } from './platform.ts';

/**
 * The platform for `mode: observe`: packets come and go as ever, and every change is confirmed without anybody asking
 * the packet filter for it. What an earlier daemon left in the filter is removed at the start, tables and anchors too.
 */
export function observing(platform: DaemonPlatform): DaemonPlatform {
  return {
    ...platform,
    async openDataPath(settings, intake) {
      const { firewall, interceptor } = await platform.openDataPath(settings, intake);
      firewall.clear();
      firewall.close();
      return { interceptor, firewall: openNotebook(), description: [OBSERVES] };
    },
    async openControl(settings) {
      const control = await platform.openControl(settings);
      return { ...control, firewall: NO_FILTER };
    },
  };
}

/** What is never opened has no states, and passes nothing. */
const NO_FILTER: FirewallControl = {
  traffic: () => ({ counts: new Map(), uncounted: [] }),
  compare: () => deviationOf([], []),
  retire: () => ({ states: 0, counts: NOT_COUNTED }),
  close() {},
};

const OBSERVES = 'mode: observe: not one pinhole is opened; the log says which would be';

/** A packet filter that only remembers what it was asked for. */
function openNotebook(): Firewall {
  const open = new Map<string, Pinhole>();
  return {
    commit(change) {
      for (const { id } of change.close) open.delete(id);
      for (const pinhole of change.open) open.set(pinhole.id, pinhole);
      return NOT_COUNTED;
    },
    list: () => [...open.values()],
    intact: () => true,
    clear: () => open.clear(),
    close: () => {},
  };
}

/**
 * The settings by which calls are followed: with `mode: observe` nobody counts media, so that no call may end, no
 * candidate go, and no audio be missed for want of it.
 */
export function followed(settings: Settings): Settings {
  if (settings.mode !== 'observe') return settings;
  const { timers } = settings;
  const longest = timers.maxCall === 0 ? Number.POSITIVE_INFINITY : timers.maxCall;
  return {
    ...settings,
    timers: { ...timers, oneWay: longest, mediaIdle: longest, iceUnused: longest, noAudio: 0 },
  };
}
