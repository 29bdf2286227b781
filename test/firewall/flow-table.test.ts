import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AF_INET, AF_INET6, CTA_ID, CTA_ZONE } from '../../native-bindings/linux/constants.ts';
import type { EntryInPlace } from '../../native-bindings/linux/in-place.ts';
import { messageWriter } from '../../native-bindings/linux/netlink.ts';
import { createFlowTable, type TrackedFlow } from '../../src/firewall/conntrack/flow-table.ts';

interface Flow {
  readonly protocol: number;
  readonly id: number;
  readonly zone: number;
  /** Of the original's source and destination, then of the reply's. */
  readonly addresses: readonly [string, string, string, string];
  readonly ports: readonly [number, number, number, number];
}

/** As ctnetlink would tell of it: attributes, and addresses behind them. */
function entryOf({ protocol, id, zone, addresses, ports }: Flow): EntryInPlace {
  const writer = messageWriter();
  writer.be32(CTA_ID, id);
  if (zone !== 0) writer.be16(CTA_ZONE, zone);
  const end = writer.length;
  const bytes = Buffer.concat([
    writer.contents(),
    ...addresses.map((address) => Buffer.from(address, 'latin1')),
  ]);
  const addressSize = addresses[0].length;
  const direction = (from: number) => ({
    source: end + from * addressSize,
    destination: end + (from + 1) * addressSize,
    sourcePort: ports[from]!,
    destinationPort: ports[from + 1]!,
    packets: null,
  });
  return {
    ...{ bytes, start: 0, end, addressSize, protocol },
    ...{ original: direction(0), reply: direction(2) },
  };
}

/** As text, whatever the order of its members. */
function stable({ family, id, zone, original, reply }: TrackedFlow): string {
  const { protocol, source, sourcePort, destination, destinationPort } = original;
  const ends = [source, sourcePort, destination, destinationPort, reply.source, reply.sourcePort];
  return JSON.stringify([family, id, zone, protocol, ...ends]);
}

/** Few of each, so that many meet. */
const flows = fc.constantFrom(4, 16).chain((size) => {
  const address = fc.constantFrom('a', 'b', 'c').map((letter) => letter.repeat(size));
  const port = fc.constantFrom(4000, 4001, 0xffff);
  return fc.record({
    protocol: fc.constantFrom(6, 17),
    id: fc.constantFrom(1, 2 ** 31, 2 ** 32 - 1),
    zone: fc.constantFrom(0, 7),
    addresses: fc.tuple(address, address, address, address),
    ports: fc.tuple(port, port, port, port),
  });
});

/** The two sources, to which the other direction goes. */
const WHERE_PACKETS_GO = [0, 2];

describe('firewall/conntrack/flow-table', () => {
  it('finds whatever was added and not removed by where either direction goes', () => {
    // From a pool, so that one is often added again, or removed.
    const steps = fc.array(flows, { minLength: 1, maxLength: 12, size: 'max' }).chain((pool) =>
      fc.array(fc.record({ adds: fc.boolean(), flow: fc.constantFrom(...pool) }), {
        maxLength: 100,
        size: 'max',
      }),
    );
    fc.assert(
      fc.property(steps, (all) => {
        const table = createFlowTable();
        const held = new Map<string, Flow>();
        for (const { adds, flow } of all) {
          const key = stable(asTold(flow));
          if (adds) held.set(key, flow);
          else held.delete(key);
          if (adds) table.add(entryOf(flow));
          else table.remove(entryOf(flow));
        }
        assert.equal(table.size(), held.size);
        for (const { flow } of all) {
          for (const [end, place] of flow.addresses.entries()) {
            const port = flow.ports[end]!;
            const found = table.towards(flow.protocol, Buffer.from(place, 'latin1'), port);
            const told = new Set(found.map((one) => stable(table.at(one))));
            const meant = [...held.values()].filter(
              ({ protocol, addresses, ports }) =>
                protocol === flow.protocol &&
                WHERE_PACKETS_GO.some((one) => addresses[one] === place && ports[one] === port),
            );
            assert.deepEqual(told, new Set(meant.map((one) => stable(asTold(one)))));
          }
        }
      }),
    );
  });

  it('keeps thousands that come and go, and forgets all of them', () => {
    const table = createFlowTable();
    const flow = (number: number): Flow => ({
      protocol: 17,
      id: number,
      zone: 0,
      addresses: ['\xc0\x00\x02\x01', '\xc6\x33\x64\x01', '\xc6\x33\x64\x01', '\xc0\x00\x02\x01'],
      ports: [1024 + (number % 60000), 4000, 4000, 1024 + (number % 60000)],
    });
    const place = Buffer.from('\xc6\x33\x64\x01', 'latin1');
    for (let number = 0; number < 20_000; number++) {
      table.add(entryOf(flow(number)));
      if (number >= 1000) table.remove(entryOf(flow(number - 1000)));
    }
    assert.equal(table.size(), 1000);
    const ids = new Set(table.towards(17, place, 4000).map((one) => table.at(one).id));
    assert.deepEqual(ids, new Set(Array.from({ length: 1000 }, (_, index) => 19_000 + index)));
    table.clear();
    assert.deepEqual([table.size(), table.towards(17, place, 4000)], [0, []]);
  });
});

function asTold({ protocol, id, zone, addresses, ports }: Flow): TrackedFlow {
  const end = (index: number) => ({
    source: Buffer.from(addresses[index]!, 'latin1'),
    sourcePort: ports[index]!,
  });
  return {
    ...{ family: addresses[0].length === 4 ? AF_INET : AF_INET6, id, zone, originalZone: 0, reply: end(2) },
    original: {
      ...{ protocol, ...end(0) },
      destination: Buffer.from(addresses[1], 'latin1'),
      destinationPort: ports[1],
    },
  };
}
