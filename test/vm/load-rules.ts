/**
 * Runs in the machine under test, by Bun: `load-rules.ts N` makes N pinholes besides the one that is measured, prints
 * what a commit of one more call costs (two pinholes opened, then closed; median in ms), and leaves the rules there.
 */
import { loadLibc } from '../../native-bindings/engine.ts';
import { openPf } from '../../native-bindings/freebsd/pf.ts';
import { openPfFirewall } from '../../src/firewall/pf.ts';
import { type Opening, openingId } from '../../src/pinhole/opening.ts';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';

const ROUNDS = 300;
const count = Number(process.argv[2]);
const libc = await loadLibc();
const open = () =>
  openPfFirewall(openPf(libc), {
    uplinks: [],
    anchors: { pass: 'pinholed', rdr: 'pinholed', binat: 'pinholed' },
    shards: 64,
    mediaPorts: [[10_000, 50_000]],
    style: () => ({
      log: 'off',
      tag: null,
      queue: null,
      statesPerRule: 10_000,
      udpFirst: 60_000,
      udpSingle: 30_000,
      udpMultiple: 60_000,
    }),
  });

function pinhole(index: number, port: number, address = '192.0.2.10'): Pinhole {
  const match: Opening = {
    direction: 'in',
    protocol: 'udp',
    sources: ['198.51.100.10'],
    sourcePort: null,
    address,
    ports: [port, port + 1],
    translation: null,
  };
  return { ...match, id: openingId(match), kind: 'rtp+rtcp', media: 'audio', label: `pinholed:${index}:0.0` };
}

open().clear();
const firewall = open();
const others = Array.from({ length: count }, (_, index) =>
  pinhole(index, 10_000 + ((index * 2) % 40_000), `192.0.2.${11 + Math.floor(index / 20_000)}`),
);
for (let at = 0; at < others.length; at += 64)
  firewall.commit({ open: others.slice(at, at + 64), close: [] });
firewall.commit({ open: [pinhole(1_000_000, 30_000)], close: [] });
const times = Array.from({ length: ROUNDS }, (_, round) => {
  const port = 10_000 + (((round * 8 * 131) % 40_000) & ~1);
  const call = [
    pinhole(2_000_000 + round, port, '192.0.2.200'),
    pinhole(3_000_000 + round, port, '192.0.2.201'),
  ];
  const start = performance.now();
  firewall.commit({ open: call, close: [] });
  const opened = performance.now();
  firewall.commit({ open: [], close: call });
  return [opened - start, performance.now() - opened] as const;
});
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;
const start = performance.now();
const intact = firewall.intact();
console.log(
  JSON.stringify({
    open: median(times.map(([open]) => open)),
    close: median(times.map(([, close]) => close)),
    intactTook: performance.now() - start,
    intact,
  }),
);
