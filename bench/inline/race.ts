/**
 * Media packets lost to the race between media and its pinhole, in calls whose parties send media in the system
 * call right after the one that makes it legal: pinholed, a passive listener that opens the same pinholes from
 * copies of the packets, and Linux' own nf_conntrack_sip. Needs root and Linux; makes network namespaces.
 *
 *   node --import tsx bench/inline/race.ts [CALLS]
 */
import { startDaemon } from '../../lab/daemon.ts';
import { type RaceOptions, type RaceResult, race } from '../../lab/race.ts';
import { ADMINISTRATOR, createTopology, type TopologyOptions } from '../../lab/topology.ts';

const calls = Number(process.argv[2] ?? 2000);

/** The kernel's helper, told which packets are SIP by a rule, as it has to be since Linux 6.0. */
const HELPER = `
table inet helper {
  ct helper sip { type "sip" protocol udp; l3proto ip; }
  chain prerouting {
    type filter hook prerouting priority filter;
    udp dport 5060 ct helper set "sip"
  }
}`;

type Way = (options: RaceOptions) => Promise<RaceResult>;

/** A program on the firewall, and the rules that it works with. */
function daemonWay(module: string, changes: string, options: TopologyOptions): Way {
  return async (raceOptions) => {
    const topology = await createTopology(options);
    try {
      const daemon = await startDaemon(topology, { module, changes });
      return await race(topology, calls, raceOptions).finally(daemon.close);
    } finally {
      await topology.close();
    }
  };
}

const pinholed = daemonWay('../src/main.ts', '', {});
const anySource = daemonWay('../src/main.ts', 'early-media-source: any', {});
const listener = daemonWay('passive.ts', '', { rules: (firewall) => void firewall('nft', ADMINISTRATOR) });
const helper: Way = async (raceOptions) => {
  const topology = await createTopology({
    rules(firewall) {
      firewall('nft', ADMINISTRATOR.replace('established', 'established,related'));
      firewall('nft', HELPER);
    },
  });
  return await race(topology, calls, raceOptions).finally(topology.close);
};

const rows: readonly (readonly [name: string, way: Way, options: RaceOptions])[] = [
  ['pinholed', pinholed, {}],
  ['passive listener', listener, {}],
  ['nf_conntrack_sip', helper, {}],
  ['passive listener, media 1 ms later', listener, { delay: 1 }],
  ['passive listener, media 20 ms later', listener, { delay: 20 }],
  ['pinholed, media from a relay', pinholed, { relay: true }],
  ['pinholed, the same, early-media-source: any', anySource, { relay: true }],
  ['passive listener, media from a relay', listener, { relay: true }],
  ['nf_conntrack_sip, media from a relay', helper, { relay: true }],
];

console.log(`${''.padEnd(44)}  sent  lost  first of a flow  calls hurt`);
for (const [name, way, options] of rows) {
  const { sent, lost, firstLost, callsHurt } = await way(options);
  const cells = [
    name.padEnd(44),
    String(sent).padStart(6),
    String(lost).padStart(5),
    String(firstLost).padStart(16),
    String(callsHurt).padStart(11),
  ];
  console.log(cells.join(''));
}
