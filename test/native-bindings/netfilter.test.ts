import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import { type Libc, loadLibc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';
import {
  AF_INET,
  AF_INET6,
  MSG_DONTWAIT,
  NF_ACCEPT,
  NF_DROP,
  NF_INET_LOCAL_IN,
  NFT_CMP_EQ,
  NFT_META_L4PROTO,
  NFT_META_MARK,
  NFT_META_NFPROTO,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_PAYLOAD_TRANSPORT_HEADER,
  NFT_REG_1,
  NFT_REG32_00,
} from '../../native-bindings/linux/constants.ts';
import { type ConntrackEntry, deleteEntry, forEachEntry } from '../../native-bindings/linux/ctnetlink.ts';
import type { ConntrackFilter } from '../../native-bindings/linux/in-place.ts';
import { walkElements } from '../../native-bindings/linux/in-place.ts';
import { openNetlink } from '../../native-bindings/linux/netlink.ts';
import { openQueue } from '../../native-bindings/linux/nfqueue.ts';
import * as nft from '../../native-bindings/linux/nft-expressions.ts';
import { concatenate, nftBatch, readElements } from '../../native-bindings/linux/nftables.ts';
import { enterNamespace, run, withoutRoot } from './namespace.ts';

let libc: Libc;

interface Address {
  readonly bytes: Buffer;
  readonly port: number;
}

/** A sockaddr for loopback. */
function loopback(family: number, port: number): Buffer {
  const bytes = Buffer.alloc(family === AF_INET ? 16 : 28);
  bytes.writeUInt16LE(family);
  bytes.writeUInt16BE(port, 2);
  if (family === AF_INET) bytes.set([127, 0, 0, 1], 4);
  else bytes[23] = 1;
  return bytes;
}

function udp(family: number, port = 0): Address & { fd: number } {
  const fd = libc.check('socket', libc.socket(family, 2, 0));
  const bytes = loopback(family, port);
  libc.check('bind', libc.bind(fd, bytes, bytes.length), `port ${port}`);
  libc.check('getsockname', libc.getsockname(fd, bytes, Buffer.from([bytes.length, 0, 0, 0])));
  return { fd, bytes, port: bytes.readUInt16BE(2) };
}

function send(from: { fd: number }, to: Address, text: string): void {
  libc.check('sendto', libc.sendto(from.fd, Buffer.from(text), text.length, 0, to.bytes, to.bytes.length));
}

/** What has arrived, or null. Loopback delivers before the sender's call returns. */
function received(socket: { fd: number }): string | null {
  const buffer = Buffer.alloc(65536);
  const length = libc.recv(socket.fd, buffer, buffer.length, MSG_DONTWAIT);
  return length < 0 ? null : buffer.toString('latin1', 0, length);
}

describe('netfilter, on this kernel', { skip: withoutRoot }, () => {
  before(async () => {
    await enterNamespace();
    libc = await loadLibc();
  });

  describe('nfqueue', () => {
    before(() => {
      for (const iptables of ['iptables-legacy', 'ip6tables-legacy']) {
        run(iptables, '-A', 'INPUT', '-p', 'udp', '--dport', '5060', '-j', 'NFQUEUE', '--queue-num', '7');
      }
    });

    for (const [name, family, header] of [
      ['IPv4', AF_INET, 20],
      ['IPv6', AF_INET6, 40],
    ] as const) {
      it(`holds a packet until it is accepted, unchanged, over ${name}`, () => {
        const queue = openQueue(libc, 7);
        const server = udp(family, 5060);
        const client = udp(family);
        send(client, server, 'REGISTER sip:example.com SIP/2.0\r\n');
        assert.equal(received(server), null);
        assert.equal(queue.receive(), 1);
        const packet = queue.payload(0);
        assert.equal(packet[0]! >> 4, family === AF_INET ? 4 : 6);
        assert.equal(packet.readUInt16BE(header), client.port);
        assert.equal(packet.readUInt16BE(header + 2), 5060);
        assert.equal(packet.toString('latin1', header + 8), 'REGISTER sip:example.com SIP/2.0\r\n');
        assert.equal(queue.length(0), packet.length);
        assert.equal(queue.inDevice(0), libc.if_nametoindex('lo'));
        assert.equal(queue.outDevice(0), 0);
        queue.verdict(queue.id(0), NF_ACCEPT);
        assert.equal(received(server), null);
        assert.ok(queue.flush() > 0);
        assert.equal(received(server), 'REGISTER sip:example.com SIP/2.0\r\n');
        assert.deepEqual(queue.refused(), { count: 0, code: '' });
        queue.close();
        libc.close(server.fd);
        libc.close(client.fd);
      });
    }

    it('takes a batch, and drops and accepts each as told', () => {
      const queue = openQueue(libc, 7, { batch: 8 });
      const server = udp(AF_INET, 5060);
      const client = udp(AF_INET);
      for (let n = 0; n < 11; n++) send(client, server, `packet ${n}`);
      assert.equal(queue.receive(), 8);
      for (let index = 0; index < 8; index++) {
        assert.equal(queue.payload(index).toString('latin1', 28), `packet ${index}`);
        queue.verdict(queue.id(index), index % 2 === 0 ? NF_ACCEPT : NF_DROP);
      }
      queue.flush();
      assert.deepEqual(
        Array.from({ length: 5 }, () => received(server)),
        ['packet 0', 'packet 2', 'packet 4', 'packet 6', null],
      );
      assert.equal(queue.receive(), 3);
      queue.verdictUpTo(queue.id(1), NF_DROP);
      queue.verdictUpTo(queue.id(2), NF_ACCEPT);
      queue.flush();
      assert.deepEqual([received(server), received(server)], ['packet 10', null]);
      assert.equal(queue.receive(), -1);
      assert.equal(libc.failure(), 'EAGAIN');
      queue.close();
      libc.close(server.fd);
      libc.close(client.fd);
    });

    it('passes a packet of the largest size whole', () => {
      const queue = openQueue(libc, 7);
      const server = udp(AF_INET, 5060);
      const client = udp(AF_INET);
      const text = 'x'.repeat(65_000);
      send(client, server, text);
      assert.equal(queue.receive(), 1);
      assert.equal(queue.payload(0).length, 65_028);
      queue.verdict(queue.id(0), NF_ACCEPT);
      queue.flush();
      assert.equal(received(server), text);
      queue.close();
      libc.close(server.fd);
      libc.close(client.fd);
    });

    it('drops what does not fit the queue, or lets it pass where told to fail open', () => {
      for (const failOpen of [false, true]) {
        const queue = openQueue(libc, 7, { length: 4, failOpen });
        const server = udp(AF_INET, 5060);
        const client = udp(AF_INET);
        for (let n = 0; n < 6; n++) libc.sendto(client.fd, Buffer.from('x'), 1, 0, server.bytes, 16);
        assert.equal(received(server), failOpen ? 'x' : null);
        assert.equal(queue.receive(), 4);
        queue.close();
        libc.close(server.fd);
        libc.close(client.fd);
      }
    });

    it('says that packets were lost when its socket was full', () => {
      const queue = openQueue(libc, 7, { bufferSize: 8192 });
      const server = udp(AF_INET, 5060);
      const client = udp(AF_INET);
      for (let n = 0; n < 100; n++) libc.sendto(client.fd, Buffer.alloc(1000), 1000, 0, server.bytes, 16);
      assert.equal(queue.receive(), -1);
      assert.equal(libc.failure(), 'ENOBUFS');
      assert.ok(queue.receive() > 0);
      queue.close();
      libc.close(server.fd);
      libc.close(client.fd);
    });

    it('counts verdicts on packets that are no longer there', () => {
      const queue = openQueue(libc, 7);
      queue.verdict(4711, NF_ACCEPT);
      queue.flush();
      assert.equal(queue.receive(), 0);
      assert.deepEqual(queue.refused(), { count: 1, code: 'ENOENT' });
      queue.close();
    });

    it('refuses a queue that another has', () => {
      const queue = openQueue(libc, 7);
      assert.throws(
        () => openQueue(libc, 7),
        (error) =>
          error instanceof SystemError && error.code === 'EPERM' && error.call === 'NFQNL_MSG_CONFIG',
      );
      queue.close();
      openQueue(libc, 7).close();
    });
  });

  describe('nf_tables', () => {
    const table = 'pinholed_test';
    const udpTo = (port: number) => concatenate([Buffer.from([17]), Buffer.from([127, 0, 0, 1]), be16(port)]);
    const be16 = (port: number) => Buffer.from([port >> 8, port & 0xff]);

    const drop = () => {
      const batch = nftBatch(openNetlink(libc));
      batch.addTable(table);
      batch.deleteTable(table);
      batch.commit();
    };

    it('makes a table whose sets nft(8) lists as meant', () => {
      const socket = openNetlink(libc);
      const batch = nftBatch(socket);
      batch.addTable(table);
      batch.addSet({
        table,
        name: 'exact4',
        key: ['inet_proto', 'ipv4_addr', 'inet_service'],
        counter: true,
      });
      batch.addSet({
        table,
        name: 'ranges6',
        key: ['inet_proto', 'ipv6_addr', 'ipv6_addr', 'inet_service'],
        interval: true,
      });
      batch.addElements(table, 'exact4', [
        { key: udpTo(40000), comment: 'pinholed:call-0001:1' },
        { key: udpTo(40001) },
      ]);
      const any = [Buffer.alloc(16), Buffer.alloc(16, 0xff)] as const;
      const host = Buffer.from('20010db8000000000000000000000010', 'hex');
      batch.addElements(table, 'ranges6', [
        {
          key: concatenate([Buffer.from([17]), any[0], host, be16(40000)]),
          keyEnd: concatenate([Buffer.from([17]), any[1], host, be16(40001)]),
        },
      ]);
      batch.commit();

      const listed = run('nft', 'list', 'table', 'inet', table);
      assert.match(listed, /set exact4 \{\s+type inet_proto \. ipv4_addr \. inet_service\s+counter/);
      assert.match(
        listed,
        /udp \. 127\.0\.0\.1 \. 40000 counter packets 0 bytes 0 comment "pinholed:call-0001:1"/,
      );
      assert.match(listed, /udp \. 127\.0\.0\.1 \. 40001 counter packets 0 bytes 0/);
      assert.match(listed, /type inet_proto \. ipv6_addr \. ipv6_addr \. inet_service\s+flags interval/);
      assert.match(listed, /udp \. ::\/0 \. 2001:db8::10 \. 40000-40001/);

      batch.deleteElements(table, 'exact4', [{ key: udpTo(40000) }]);
      batch.commit();
      assert.doesNotMatch(run('nft', 'list', 'table', 'inet', table), /40000 counter/);
      socket.close();
      drop();
    });

    it('reads back what is in a set, the ranges and comments of nft(8) too', () => {
      run('nft', 'add', 'table', 'inet', table);
      run(
        'nft',
        `add set inet ${table} s { type inet_proto . ipv4_addr . inet_service; flags interval; counter; }`,
      );
      run(
        'nft',
        `add element inet ${table} s { udp . 127.0.0.1 . 100-199 comment "from nft", tcp . 10.0.0.0/8 . 5 }`,
      );
      const socket = openNetlink(libc);
      const elements = readElements(socket, table, 's').sort((a, b) => Buffer.compare(a.key, b.key));
      assert.deepEqual(elements, [
        {
          key: concatenate([Buffer.from([6]), Buffer.from([10, 0, 0, 0]), be16(5)]),
          keyEnd: concatenate([Buffer.from([6]), Buffer.from([10, 255, 255, 255]), be16(5)]),
          traffic: { packets: 0n, bytes: 0n },
        },
        {
          key: udpTo(100),
          keyEnd: udpTo(199),
          comment: 'from nft',
          traffic: { packets: 0n, bytes: 0n },
        },
      ]);
      assert.throws(() => readElements(socket, table, 'nosuch'), /NFT_MSG_GETSETELEM.*ENOENT/);
      socket.close();
      drop();
    });

    it('changes nothing when one change of a batch is refused, and names the reason', () => {
      const socket = openNetlink(libc);
      const batch = nftBatch(socket);
      batch.addTable(table);
      batch.addSet({ table, name: 's', key: ['inet_proto', 'ipv4_addr', 'inet_service'] });
      batch.addElements(table, 's', [{ key: udpTo(1) }]);
      batch.commit();
      batch.addElements(table, 's', [{ key: udpTo(2) }]);
      batch.deleteElements(table, 's', [{ key: udpTo(3) }]);
      assert.throws(
        () => batch.commit(),
        (error) => error instanceof SystemError && error.code === 'ENOENT',
      );
      batch.addElements(table, 's', [{ key: udpTo(1) }]);
      assert.throws(() => batch.commit(), /NFT_MSG_NEWSETELEM.*EEXIST/);
      assert.deepEqual(
        readElements(socket, table, 's').map(({ key }) => key),
        [udpTo(1)],
      );
      socket.close();
      drop();
    });

    it('carries more elements in one batch than one message holds', () => {
      const socket = openNetlink(libc);
      const batch = nftBatch(socket);
      const keys = Array.from({ length: 5000 }, (_, port) => ({
        key: udpTo(port + 1),
        comment: `pinhole ${port}`,
      }));
      batch.addTable(table);
      batch.addSet({ table, name: 's', key: ['inet_proto', 'ipv4_addr', 'inet_service'] });
      batch.addElements(table, 's', keys);
      batch.commit();
      const read = readElements(socket, table, 's').sort((a, b) => Buffer.compare(a.key, b.key));
      assert.deepEqual(
        read.map(({ key, comment }) => ({ key, comment })),
        keys,
      );
      batch.deleteElements(table, 's', keys.slice(10));
      batch.commit();
      assert.equal(readElements(socket, table, 's').length, 10);
      socket.close();
      drop();
    });

    it('lists a set again whose listing names an element twice, as the kernel does while it moves a set', () => {
      const socket = openNetlink(libc);
      const batch = nftBatch(socket);
      const keys = Array.from({ length: 5000 }, (_, port) => ({ key: udpTo(port + 1) }));
      batch.addTable(table);
      batch.addSet({ table, name: 's', key: ['inet_proto', 'ipv4_addr', 'inet_service'] });
      batch.addElements(table, 's', keys);
      batch.commit();
      let moving = 0;
      const moved: typeof socket = {
        ...socket,
        dump(call, request, visit) {
          const rests = moving-- <= 0;
          let first = true;
          socket.dump(call, request, (message) => {
            // The second message is left out, the first stands in its place.
            if (first || rests) visit(message);
            if (first && !rests) visit(message);
            first = false;
          });
        },
      };
      moving = 3;
      const read = readElements(moved, table, 's').sort((a, b) => Buffer.compare(a.key, b.key));
      assert.deepEqual(
        read.map(({ key }) => ({ key })),
        keys,
      );
      moving = Number.POSITIVE_INFINITY;
      assert.throws(
        () => readElements(moved, table, 's'),
        (error) => error instanceof SystemError && error.code === 'EINTR',
      );
      const seen = new Set<string>();
      walkElements(socket, table, 's', ({ bytes, keyStart, keyEnd }) => {
        seen.add(bytes.toString('hex', keyStart, keyEnd));
      });
      assert.deepEqual([...seen].sort(), keys.map(({ key }) => key.toString('hex')).sort());
      socket.close();
      drop();
    });

    it('marks the packets whose proto, address and port are in the set, and counts them', () => {
      const socket = openNetlink(libc);
      const batch = nftBatch(socket);
      const mark = Buffer.alloc(4);
      mark.writeUInt32LE(0x700000);
      const keep = Buffer.alloc(4);
      keep.writeUInt32LE(~0x700000 >>> 0);
      batch.addTable(table);
      batch.addSet({ table, name: 's', key: ['inet_proto', 'ipv4_addr', 'inet_service'], counter: true });
      batch.addChain({ table, name: 'input', hook: NF_INET_LOCAL_IN, priority: -1, policy: NF_ACCEPT });
      batch.addRule(table, 'input', [
        nft.loadMeta(NFT_META_NFPROTO, NFT_REG_1),
        nft.compare(NFT_REG_1, NFT_CMP_EQ, Buffer.from([2])),
        nft.loadMeta(NFT_META_L4PROTO, NFT_REG32_00),
        nft.loadPayload(NFT_PAYLOAD_NETWORK_HEADER, 16, 4, NFT_REG32_00 + 1),
        nft.loadPayload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG32_00 + 2),
        nft.lookup('s', NFT_REG32_00),
        nft.loadMeta(NFT_META_MARK, NFT_REG_1),
        nft.bitwise(NFT_REG_1, NFT_REG_1, keep, mark),
        nft.setMeta(NFT_META_MARK, NFT_REG_1),
        nft.counter(),
      ]);
      batch.commit();
      const listed = run('nft', 'list', 'chain', 'inet', table, 'input');
      assert.match(listed, /type filter hook input priority filter - 1; policy accept;/);
      assert.match(
        listed,
        /meta l4proto \. ip daddr \. th dport @s meta mark set meta mark (& 0xff8fffff )?\| 0x00700000 counter/,
      );

      run('nft', 'add', 'table', 'inet', 'admin');
      run('nft', 'add chain inet admin input { type filter hook input priority filter; policy drop; }');
      run('nft', 'add rule inet admin input meta mark & 0x700000 == 0x700000 accept');
      const open = udp(AF_INET);
      const shut = udp(AF_INET);
      const client = udp(AF_INET);
      send(client, open, 'before');
      assert.equal(received(open), null);
      batch.addElements(table, 's', [{ key: udpTo(open.port), comment: 'pinholed:c:1' }]);
      batch.commit();
      send(client, open, 'while');
      send(client, open, 'it lasts');
      send(client, shut, 'never');
      assert.deepEqual([received(open), received(open), received(shut)], ['while', 'it lasts', null]);
      const [element] = readElements(socket, table, 's');
      assert.deepEqual(element, {
        key: udpTo(open.port),
        comment: 'pinholed:c:1',
        traffic: { packets: 2n, bytes: BigInt(28 + 5 + 28 + 8) },
      });
      batch.deleteElements(table, 's', [{ key: udpTo(open.port) }]);
      batch.commit();
      send(client, open, 'after');
      assert.equal(received(open), null);
      run('nft', 'delete', 'table', 'inet', 'admin');
      socket.close();
      drop();
    });
  });

  describe('ctnetlink', () => {
    before(() => {
      run('nft', 'add', 'table', 'inet', 'track');
      run('nft', 'add chain inet track input { type filter hook input priority 0; }');
      run('nft', 'add rule inet track input ct state established counter');
    });

    const entries = (socket: ReturnType<typeof openNetlink>, port: number): ConntrackEntry[] => {
      const found: ConntrackEntry[] = [];
      forEachEntry(socket, {}, (entry) => {
        if (entry.original.destinationPort === port) found.push(entry);
      });
      return found;
    };

    for (const [name, family] of [
      ['IPv4', AF_INET],
      ['IPv6', AF_INET6],
    ] as const) {
      it(`finds a flow and deletes it, over ${name}`, () => {
        const socket = openNetlink(libc);
        const server = udp(family);
        const client = udp(family);
        send(client, server, 'media');
        const [entry, ...more] = entries(socket, server.port);
        assert.equal(more.length, 0);
        assert.ok(entry !== undefined);
        const address =
          family === AF_INET
            ? Buffer.from([127, 0, 0, 1])
            : Buffer.concat([Buffer.alloc(15), Buffer.from([1])]);
        const tuple = { source: address, destination: address, protocol: 17 };
        assert.equal(entry.family, family);
        assert.deepEqual(entry.original, { ...tuple, sourcePort: client.port, destinationPort: server.port });
        assert.deepEqual(entry.reply, { ...tuple, sourcePort: server.port, destinationPort: client.port });
        const listed = () => readFileSync('/proc/net/nf_conntrack', 'utf8').includes(`dport=${server.port}`);
        assert.ok(listed());
        assert.equal(deleteEntry(socket, { ...entry, id: (entry.id ^ 1) >>> 0 }), false);
        assert.ok(listed());
        assert.equal(deleteEntry(socket, entry), true);
        assert.ok(!listed());
        assert.equal(deleteEntry(socket, entry), false);
        socket.close();
        libc.close(server.fd);
        libc.close(client.fd);
      });
    }

    for (const [way, name] of [
      ['', 'a zone'],
      ['original ', 'a zone of its original direction'],
      ['reply ', 'a zone of its reply'],
    ] as const) {
      it(`deletes a flow in ${name}`, () => {
        run('nft', 'add', 'table', 'inet', 'zones');
        run('nft', 'add chain inet zones output { type filter hook output priority raw; }');
        run('nft', `add rule inet zones output ct ${way}zone set 7`);
        const socket = openNetlink(libc);
        const [server, client] = [udp(AF_INET), udp(AF_INET)];
        send(client, server, 'media');
        const listed = () => readFileSync('/proc/net/nf_conntrack', 'utf8').includes(`dport=${server.port}`);
        assert.ok(listed());
        const [entry] = entries(socket, server.port);
        assert.equal(deleteEntry(socket, entry!), true);
        assert.ok(!listed());
        run('nft', 'delete', 'table', 'inet', 'zones');
        socket.close();
        for (const { fd } of [server, client]) libc.close(fd);
      });
    }

    it('tells the packets of each direction, of flows that began while the kernel counted', () => {
      const accounting = '/proc/sys/net/netfilter/nf_conntrack_acct';
      const socket = openNetlink(libc);
      const flow = (counts: '0' | '1') => {
        writeFileSync(accounting, counts);
        const [server, client] = [udp(AF_INET), udp(AF_INET)];
        for (const text of ['one', 'two', 'three']) send(client, server, text);
        send(server, client, 'answer');
        const [entry] = entries(socket, server.port);
        for (const { fd } of [server, client]) libc.close(fd);
        return entry?.packets;
      };
      assert.equal(flow('0'), null);
      assert.deepEqual(flow('1'), { original: 3, reply: 1 });
      socket.close();
    });

    it('lists only a family, or what bears a mark', () => {
      run('nft', 'add rule inet track input udp dport 7777 ct mark set 0x700001');
      const socket = openNetlink(libc);
      const client = udp(AF_INET);
      send(client, { bytes: loopback(AF_INET, 7777), port: 7777 }, 'marked');
      send(client, { bytes: loopback(AF_INET, 7778), port: 7778 }, 'not marked');
      const ports = (filter: ConntrackFilter): number[] => {
        const found: number[] = [];
        forEachEntry(socket, filter, ({ original }) => found.push(original.destinationPort));
        return found.filter((port) => port === 7777 || port === 7778).sort();
      };
      assert.deepEqual(ports({ family: AF_INET }), [7777, 7778]);
      assert.deepEqual(ports({ family: AF_INET6 }), []);
      assert.deepEqual(ports({ mark: { value: 0x700000, mask: 0xf00000 } }), [7777]);
      socket.close();
      libc.close(client.fd);
    });
  });
});
