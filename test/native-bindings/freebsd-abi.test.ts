import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as constants from '../../native-bindings/freebsd/constants.ts';
import { pfIoctls } from '../../native-bindings/freebsd/ioctls.ts';
import * as rules from '../../native-bindings/freebsd/pf-rule.ts';
import * as states from '../../native-bindings/freebsd/pf-states.ts';
import * as requests from '../../native-bindings/freebsd/pfioc.ts';
import * as addresses from '../../native-bindings/freebsd/sockaddr.ts';
import { inetLayouts } from '../../native-bindings/inet-socket.ts';
import * as messages from '../../native-bindings/message-batch.ts';
import { abi, vectorBytes, withoutAbi } from './abi.ts';

const { pfiocStatesV2, pfStateExport, pfStateKey } = states;
const structs = [
  ...Object.values({
    ...rules,
    ...requests,
    pfiocStatesV2,
    pfStateExport,
    pfStateKey,
    ...addresses,
  }),
  ...inetLayouts.freebsd.structs,
];

/** abi.json has its number in words (`ioctls_by_version`), for not every kernel of 15 knows the request. */
const DIOCGETSTATESV2 = '0xc018445d';

/**
 * From headers that abi.json does not cover: sys/socket.h, net/route.h, netinet/tcp.h and netpfil/pf/pf.h of
 * FreeBSD 15.1.
 */
const elsewhere = {
  SOCK_DGRAM: 2,
  SO_RERROR: 0x20000,
  MSG_WAITFORONE: 0x80000,
  TH_SYN: 0x02,
  TH_ACK: 0x10,
  PF_REASS_ENABLED: 1,
  CTL_NET: 4,
  PF_ROUTE: 17,
  NET_RT_DUMP: 1,
  RTF_GATEWAY: 0x2,
  RTF_HOST: 0x4,
  RTF_REJECT: 0x8,
  RTF_BLACKHOLE: 0x1000,
  RTA_DST: 0x1,
  RTA_NETMASK: 0x4,
};

describe('FreeBSD ABI', { skip: withoutAbi }, () => {
  for (const { name, size, members } of structs) {
    it(`struct ${name} has its members where the C compiler put them`, () => {
      const real = abi.structs[name];
      assert.ok(real !== undefined, `abi.json has ${name}`);
      assert.equal(size, real.size);
      for (const [member, { offset, field }] of Object.entries(members)) {
        assert.deepEqual({ offset, size: field.size }, real.members[member], `${name}.${member}`);
      }
    });
  }

  it('message headers', () => {
    const { msghdr, iovec } = messages.messageLayouts.freebsd;
    for (const { name, size, members } of [msghdr, iovec]) {
      const real = abi.structs[name]!;
      assert.equal(size, real.size);
      for (const [member, { offset, field }] of Object.entries(members)) {
        assert.deepEqual({ offset, size: field.size }, real.members[member], `${name}.${member}`);
      }
    }
  });

  for (const [name, number] of Object.entries(pfIoctls)) {
    it(`${name}`, () => assert.equal(number, Number({ DIOCGETSTATESV2, ...abi.ioctls }[name])));
  }

  it('every constant', () => {
    for (const [name, value] of Object.entries(constants)) {
      assert.equal(value, { ...elsewhere, ...abi.constants }[name], name);
    }
  });
});

describe('FreeBSD structs, filled as the C compiler fills them', { skip: withoutAbi }, () => {
  const { pfiocRule, pfiocTransE, pfiocLimit } = requests;
  const full = Buffer.alloc(16, 0xff);
  const v4 = (...octets: number[]) => Uint8Array.from(octets);

  it('a rule for IPv4 with a port range', () => {
    const expected = vectorBytes('vec_rule_v4');
    const encoded = pfiocRule.encode({
      ticket: 0x11223344,
      pool_ticket: 0x55667788,
      anchor: 'pinholed/call-0001',
      rule: {
        src: { addr: { 'v.a.addr': v4(198, 51, 100, 20), 'v.a.mask': full.subarray(0, 4) } },
        dst: {
          addr: { 'v.a.addr': v4(192, 0, 2, 10), 'v.a.mask': full.subarray(0, 4) },
          port: [40000, 40001],
          port_op: constants.PF_OP_RRG,
        },
        label: 'pinholed:call-0001',
        rtableid: -1,
        timeout: [0, 0, 0, 0, 0, 0, 60, 30, 60],
        action: constants.PF_PASS,
        direction: constants.PF_IN,
        quick: 1,
        keep_state: constants.PF_STATE_NORMAL,
        af: constants.AF_INET,
        proto: constants.IPPROTO_UDP,
      },
    });
    assert.deepEqual(encoded, expected);
    assert.equal(pfiocRule.decode(expected).rule.dst.port[1], 40001);
  });

  it('a rule for IPv6 on an interface', () => {
    const host = Buffer.from('20010db8000000000000000000000010', 'hex');
    const encoded = pfiocRule.encode({
      ticket: 1,
      pool_ticket: 2,
      anchor: 'pinholed/call-0002',
      rule: {
        dst: { addr: { 'v.a.addr': host, 'v.a.mask': full }, port: [40000, 0], port_op: constants.PF_OP_EQ },
        label: 'pinholed:call-0002',
        ifname: 'em0',
        rtableid: -1,
        direction: constants.PF_OUT,
        quick: 1,
        keep_state: constants.PF_STATE_NORMAL,
        af: constants.AF_INET6,
        proto: constants.IPPROTO_UDP,
      },
    });
    assert.deepEqual(encoded, vectorBytes('vec_rule_v6'));
  });

  it('an element of a transaction', () => {
    assert.deepEqual(
      pfiocTransE.encode({
        rs_num: constants.PF_RULESET_FILTER,
        anchor: 'pinholed/call-0001',
        ticket: 0x11223344,
      }),
      vectorBytes('vec_trans_e'),
    );
  });

  it('a limit', () => {
    const expected = vectorBytes('vec_limit');
    assert.deepEqual(pfiocLimit.encode({ index: constants.PF_LIMIT_ANCHORS, limit: 4096 }), expected);
  });

  it('the address a divert socket binds, and the one it gives', () => {
    const { sockaddrIn, divertAddress } = addresses;
    assert.deepEqual(
      sockaddrIn.encode({ sin_len: 16, sin_family: constants.AF_INET, sin_port: 7000 }),
      vectorBytes('vec_divert_bind'),
    );
    const inbound = divertAddress.decode(vectorBytes('vec_divert_rx_in'));
    assert.equal(inbound.sin_port, constants.PF_IN);
    assert.equal(inbound.sin_zero, 'epair0b');
    assert.deepEqual(inbound.sin_addr, Buffer.from([192, 0, 2, 1]));
    assert.deepEqual(divertAddress.encode(inbound), vectorBytes('vec_divert_rx_in'));
  });
});
