import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { freebsdErrno, SystemError } from '../../native-bindings/errno.ts';
import type { Pf } from '../../native-bindings/freebsd/pf.ts';
import type { Ingress, Route } from '../../src/address/ingress.ts';
import { parseNetwork } from '../../src/address/network.ts';
import { examinePf } from '../../src/checks/examine-freebsd.ts';
import type { Finding } from '../../src/checks/finding.ts';
import { pfRules } from '../../src/commands/rules/pf.ts';
import { defaults, loadConfig, type Settings } from '../../src/config/load.ts';
import { sharedDir } from '../shared.ts';
import { createFakePf, type FakePf } from './fake-pf.ts';
import { type Interfaces, loadPfConf } from './pf-conf.ts';

const RULESETS = sharedRulesets();

const settings = defaults();
const { anchor, divertPort } = settings.freebsd;

/** The lines that `pinholed rules` prints, one for each rule that pfctl makes of them. */
const diverting = ['in', 'out'].flatMap((direction) =>
  ['tcp', 'udp'].map(
    (proto) => `pass ${direction} quick on em1 proto ${proto} to any port 5060 divert-to ${divertPort}`,
  ),
);

/** What an administrator has beside these: all is blocked that is not let pass, and nobody bears an inside address outside. */
const AROUND = [
  'block all',
  'antispoof quick for em1',
  'pass quick on em0 proto { tcp udp } to any port 5060',
  'pass in quick on em1 proto udp from { 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 } to any port 1024:65535',
  'pass out quick on em0',
];
const HERE: Interfaces = { em1: { address: '192.168.1.1', network: '192.168.1.0/24' } };

/** pf with these rules in the main ruleset, behind which it steps into these anchors. */
function pfWith(
  rules: readonly string[],
  anchors: readonly string[],
  around: readonly string[] = AROUND,
): FakePf {
  const pf = createFakePf();
  const lines = [
    ...around.slice(0, 2),
    ...rules,
    ...anchors.map((name) => `anchor "${name}"`),
    ...around.slice(2),
  ];
  loadPfConf(pf, lines.join('\n'), HERE);
  return pf;
}

const route = (network: string, name: string, kind: Route['kind'] = 'on-link'): Route => ({
  network: parseNetwork(network)!,
  interfaces: [name],
  kind,
});

/** Telephones behind em1, the world behind em0. */
const INGRESS: Ingress = {
  meant: new Map(),
  loopback: ['lo0'],
  named: [],
  routes: [route('192.168.1.0/24', 'em1'), route('0.0.0.0/0', 'em0', 'gateway')],
  routed: ['em0', 'em1'],
};
const KNOWN: Parameters<typeof examinePf>[2] = {
  ingress: INGRESS,
  addresses: new Map(),
  forwarded: [4],
  forgetful: false,
};

function found(pf: Pf, changes: Partial<Settings> = {}, known = {}): Finding[] {
  return examinePf(() => pf, { ...settings, ...changes }, { ...KNOWN, ...known });
}

/** What is not well, as `level check`. */
function wrong(pf: Pf, changes: Partial<Settings> = {}, known = {}): string[] {
  return found(pf, changes, known).flatMap(({ level, check, advice }) => {
    assert.equal(advice === '', level === 'ok');
    return level === 'ok' ? [] : [`${level} ${check}`];
  });
}

/** What pfSense and OPNsense generated, where it is at hand. */
function sharedRulesets(): { readonly name: string; readonly content: string }[] {
  const directory = join(sharedDir, 'freebsd/rulesets');
  if (!existsSync(directory)) return [];
  return readdirSync(directory).map((name) => ({
    name,
    content: readFileSync(join(directory, name), 'utf8'),
  }));
}

describe('doctor on FreeBSD, and pf', () => {
  it('finds nothing wrong with what "pinholed rules" prints', () => {
    assert.deepEqual(wrong(pfWith(diverting, [anchor])), []);
    const any = [`pass quick to any port 5060 divert-to ${divertPort}`];
    assert.deepEqual(wrong(pfWith(any, [`${anchor}`])), [], 'a rule for all protocols and directions');
  });

  it('misses the anchor, and rules that divert', () => {
    assert.deepEqual(wrong(pfWith(diverting, [])), ['fault anchor']);
    assert.deepEqual(wrong(pfWith([], [anchor])), ['fault divert-rule']);
    const other = diverting.map((rule) => rule.replace(/\d+$/, String(divertPort + 1)));
    assert.deepEqual(wrong(pfWith(other, [anchor])), ['fault divert-rule']);
  });

  const names = ['TCP that comes in', 'UDP that comes in', 'TCP that goes out', 'UDP that goes out'];
  for (const [index, name] of names.entries()) {
    it(`misses the rule for ${name}`, () => {
      const rules = diverting.filter((_, at) => at !== index);
      const lacks = found(pfWith(rules, [anchor])).filter(({ level }) => level !== 'ok');
      assert.deepEqual(
        lacks.map(({ level, text }) => [level, text]),
        [
          [
            'caution',
            `3 rules divert to port ${divertPort}, by which 0 packets have come, none of them ${name}: such SIP passes unread`,
          ],
        ],
      );
    });
  }

  it('says where SIP that a rule with route-to diverts loses its way, on a kernel that does so', () => {
    const routed = `pass in quick on em1 route-to (em2 203.0.113.1) inet proto udp from 192.168.1.20 to any port 5060 divert-to ${divertPort}`;
    const pf = pfWith([routed, ...diverting], [anchor]);
    assert.deepEqual(wrong(pf), []);
    assert.deepEqual(wrong(pf, {}, { forgetful: true }), ['caution divert-route']);
    const undiverted = pfWith([...diverting, routed.replace(/ divert-to.*/, '')], [anchor]);
    assert.deepEqual(wrong(undiverted, {}, { forgetful: true }), []);
  });

  it('wants states of what is diverted kept from the other firewalls, where calls are shared', () => {
    const shared = { peersStore: { ...settings.peersStore, url: 'redis://10.9.0.1' } };
    const kept = (state: string) =>
      diverting.map((rule) => rule.replace(' divert-to', ` ${state} divert-to`));
    assert.deepEqual(wrong(pfWith(diverting, [anchor]), shared), ['caution states']);
    const partly = [...kept('keep state (no-sync)').slice(0, 3), diverting[3]!];
    assert.match(
      found(pfWith(partly, [anchor]), shared).find(({ check }) => check === 'states')!.text,
      /^pfsync brings the states of 1 rules/,
    );
    assert.deepEqual(wrong(pfWith(kept('keep state (no-sync)'), [anchor]), shared), []);
    assert.deepEqual(wrong(pfWith(kept('no state'), [anchor]), shared), []);
    const printed = pfRules({ ...settings, ...shared }, null, ['em1']);
    const lines = printed.split('\n').filter((line) => /^(inside =|pass )/.test(line));
    assert.deepEqual(wrong(pfWith(lines, [anchor]), shared), []);
  });

  it('wants the anchor for its own divert rules with fail: open', () => {
    const open = { fail: 'open' } as const;
    assert.deepEqual(wrong(pfWith([], [anchor]), open), ['fault divert-rule']);
    assert.deepEqual(wrong(pfWith([], [anchor, `${anchor}/divert`]), open), []);
  });

  it('says that pf is off, that fragments stay in pieces, that there is no room for anchors', () => {
    const pf = pfWith(diverting, [anchor]);
    const off = { ...pf, status: () => ({ ...pf.status(), running: false, reass: 0 }), limit: () => 16 };
    assert.deepEqual(wrong(off), ['fault pf', 'fault reassembly', 'fault anchor-limit']);
    assert.deepEqual(wrong({ ...pf, limit: () => 0 }), [], 'zero is no limit');
  });

  it('says what it did not look at, and why, where pf cannot be opened or asked', () => {
    const failing = (call: string, code: string) =>
      examinePf(
        () => {
          throw new SystemError('freebsd', call, freebsdErrno[code]!, '/dev/pf');
        },
        settings,
        KNOWN,
      );
    for (const code of ['EACCES', 'EPERM']) {
      const [refused, ...more] = failing('open', code);
      assert.deepEqual(
        [refused!.level, refused!.check, refused!.advice, more],
        ['unknown', 'pf', 'run it as root', []],
      );
      assert.match(
        refused!.text,
        /not looked at are anchor, reassembly, anchor-limit, divert-rule, block-quick, .*nat$/,
      );
    }
    assert.deepEqual(
      failing('open', 'ENOENT').map(({ level }) => level),
      ['fault'],
    );
    assert.match(failing('DIOCGETSTATUSNV', 'ENODEV')[0]!.text, /^pf cannot be asked: .*ENODEV/);
  });
});

describe('doctor, and what becomes of a call in pf', () => {
  const text = (pf: Pf, check: string, changes: Partial<Settings> = {}, known = {}) =>
    found(pf, changes, known)
      .filter((one) => one.check === check && one.level !== 'ok')
      .map(({ level, text }) => `${level}: ${text}`)
      .join('\n');
  const without = (word: string) => AROUND.filter((line) => !line.startsWith(word));

  it('sees a quick rule before the anchor: one that blocks, one that passes', () => {
    const block = pfWith([...diverting, 'block in quick on em0 proto udp label "no media"'], [anchor]);
    assert.deepEqual(wrong(block), ['fault block-quick']);
    assert.match(
      text(block, 'block-quick'),
      /^fault: rule \d+ \("no media"\) of the main ruleset decides about media in on em0 before .* it is blocked/,
    );
    const pass = pfWith([...diverting, 'pass in quick on em0 proto udp to any port 10000:60000'], [anchor]);
    assert.match(text(pass, 'block-quick'), /^caution: .* it passes with and without a pinhole$/);
    const table = pfWith([...diverting, 'block in quick on em0 from <bogons>'], [anchor]);
    assert.deepEqual(wrong(table), [], 'a table has some addresses, and not others');
    const other = pfWith(
      [...diverting, 'block in quick on em0 proto udp to any port < 1024'.replace('< ', '1:')],
      [anchor],
    );
    assert.deepEqual(wrong(other), []);
  });

  it('sees the same in anchors that the ruleset steps into', () => {
    const pf = createFakePf();
    const nested = [
      ...AROUND.slice(0, 2),
      'anchor "site" on em0 {',
      'block in quick proto udp',
      '}',
      ...diverting,
    ];
    loadPfConf(pf, [...nested, `anchor "${anchor}"`, ...AROUND.slice(2)].join('\n'), HERE);
    assert.match(text(pf, 'block-quick'), /^fault: rule 0 of anchor "site" decides/);
  });

  it('misses a default that blocks', () => {
    const pf = pfWith(diverting, [anchor], ['pass all', AROUND[1]!, ...AROUND.slice(2)]);
    assert.deepEqual(wrong(pf), ['caution default-drop']);
  });

  it('misses what lets out the media that inside hosts send, unless calls open the way', () => {
    const deaf = pfWith(diverting, [anchor], without('pass in quick on em1'));
    assert.deepEqual(wrong(deaf), ['fault outbound-media']);
    assert.match(
      text(deaf, 'outbound-media'),
      /is blocked in on em1 by rule 0 of the main ruleset: they hear/,
    );
    assert.deepEqual(wrong(deaf, { outbound: true }), []);
    const mute = pfWith(diverting, [anchor], without('pass out quick on em0'));
    assert.match(text(mute, 'outbound-media'), /is blocked out on em0/);
  });

  it('misses antispoof, and says where it cannot know', () => {
    const open = pfWith(diverting, [anchor], ['block all', '', ...AROUND.slice(2)]);
    assert.match(text(open, 'antispoof'), /^caution: an inside address may come in on em0/);
    const urpf = pfWith(
      ['block in quick from urpf-failed', ...diverting],
      [anchor],
      ['block all', '', ...AROUND.slice(2)],
    );
    assert.equal(text(urpf, 'antispoof'), '');
    assert.match(
      text(pfWith(diverting, [anchor]), 'antispoof', {}, { ingress: null }),
      /^unknown: no interface/,
    );
  });

  it('says how to know what leads outside alone: uplinks, and inside-interfaces where one of them counts as inside', () => {
    const pf = pfWith(diverting, [anchor]);
    const adviceOf = (changes: Partial<Settings>, ingress: Ingress | null) =>
      found(pf, changes, { ingress })
        .filter(({ check }) => check === 'antispoof')
        .map(({ level, advice }) => `${level}: ${advice}`);
    const uplinks = [{ interface: 'em0', gateway: '203.0.113.1' }];
    const unread = ['unknown: the routes could not be read: look at the rules yourself'];
    assert.deepEqual([adviceOf({}, null), adviceOf({ uplinks }, null)], [unread, unread]);
    const nowhere = { ...INGRESS, routes: [route('192.168.1.0/24', 'em1')] };
    assert.deepEqual(adviceOf({}, nowhere), ['unknown: name them: uplinks: [...]']);
    assert.deepEqual(adviceOf({ uplinks }, nowhere), ['ok: ']);
    const both = { ...INGRESS, routes: [route('192.168.1.0/24', 'em1'), route('10.0.0.0/8', 'em0')] };
    assert.deepEqual(adviceOf({ uplinks }, both), [
      'unknown: em0 of uplinks counts as inside as well: set inside-interfaces to the others that lead inside',
    ]);
    assert.deepEqual(adviceOf({ uplinks }, { ...both, named: ['em1'] }), ['ok: ']);
  });

  it('wants reply-to for each uplink, and uplinks where there are several ways out', () => {
    const uplinks = [
      { interface: 'em0', gateway: '203.0.113.1' },
      { interface: 'em2', gateway: '198.51.100.1' },
    ];
    const replying = uplinks.map(
      ({ interface: name, gateway }) =>
        `pass in quick on ${name} reply-to (${name} ${gateway}) proto udp to any port 5060`,
    );
    const both = pfWith([...replying, ...diverting, 'pass out quick on em2'], [anchor]);
    assert.equal(text(both, 'reply-to', { uplinks }), '');
    const half = pfWith(
      [
        replying[0]!,
        'pass in quick on em2 proto udp to any port 5060',
        ...diverting,
        'pass out quick on em2',
      ],
      [anchor],
    );
    assert.match(
      text(half, 'reply-to', { uplinks }),
      /^caution: SIP that comes in by em2 is answered by the default route$/,
    );
    const routes = [...INGRESS.routes, route('0.0.0.0/0', 'em2', 'gateway')];
    assert.match(
      text(both, 'reply-to', {}, { ingress: { ...INGRESS, routes } }),
      /^caution: there are several ways out \(em0, em2\), and uplinks is not set/,
    );
  });

  describe('with nat', () => {
    const settingsFor = (more: string): Partial<Settings> => {
      const loaded = loadConfig(
        `media-ports: [10000-20000]\nnat: [{external: 203.0.113.2, hosts: [192.168.1.10]${more}}]`,
        'f',
      );
      assert.ok('settings' in loaded);
      return { nat: loaded.settings.nat, mediaPorts: loaded.settings.mediaPorts };
    };
    const [pinhole, ruleset] = [settingsFor(''), settingsFor(', translation: ruleset')];
    const anchors = ['rdr-anchor "pinholed"', 'binat-anchor "pinholed"'];
    const sip = 'rdr on em0 inet proto udp from any to 203.0.113.2 port 5060 -> 192.168.1.10';
    const media = (ports: string, host = '192.168.1.10') =>
      `rdr on em0 inet proto udp from any to 203.0.113.2 port ${ports} -> ${host}`;
    const withNat = (...lines: readonly string[]) => pfWith([...lines, ...diverting], [anchor]);

    it('finds nothing wrong with what "pinholed rules" prints', () => {
      assert.deepEqual(wrong(withNat(...anchors, sip), pinhole), []);
      assert.deepEqual(wrong(withNat(sip, media('10000:20000')), ruleset), []);
      assert.deepEqual(
        wrong(withNat('binat on em0 inet from 192.168.1.10 to any -> 203.0.113.2'), ruleset),
        [],
      );
    });

    it('misses the anchors that translate, where pinholes bring their own translation', () => {
      assert.deepEqual(wrong(withNat(sip), pinhole), ['fault anchor']);
      assert.match(
        text(withNat(anchors[0]!, sip), 'anchor', pinhole),
        /^fault: the ruleset has no binat-anchor "pinholed":/,
      );
      assert.deepEqual(wrong(withNat(sip, media('10000:20000')), ruleset), []);
    });

    it('misses what brings SIP in, and with translation: ruleset media', () => {
      assert.match(
        text(withNat(...anchors), 'nat', pinhole),
        /^caution: no rdr or binat rule brings SIP for 203\.0\.113\.2/,
      );
      assert.match(text(withNat(sip, media('10000:15000')), 'nat', ruleset), /^fault: .* \(20000\)/);
    });

    it("sees a redirect of another host's in the pinholes' way, and SIP for a host that nat: does not have", () => {
      const other = media('15000:30000', '192.168.1.99');
      assert.match(
        text(withNat(sip, other, ...anchors), 'nat', pinhole),
        /^fault: rule 1 of the main ruleset takes media/,
      );
      assert.equal(text(withNat(sip, ...anchors, other), 'nat', pinhole), '');
      assert.match(
        text(withNat(sip), 'nat'),
        /^caution: the ruleset forwards SIP to 192\.168\.1\.10, which nat: does not have/,
      );
    });
  });
});

describe('doctor, with the rulesets that firewalls generate', {
  skip: RULESETS.length === 0 ? 'no ../shared' : false,
}, () => {
  const firewalls: Interfaces = {
    igb0: { address: '203.0.113.2', network: '203.0.113.0/24' },
    igb1: { address: '192.168.1.1', network: '192.168.1.0/24' },
    igb2: { address: '198.51.100.2', network: '198.51.100.0/24' },
  };
  const ingress: Ingress = {
    ...INGRESS,
    routes: [route('192.168.1.0/24', 'igb1'), route('0.0.0.0/0', 'igb0', 'gateway')],
    routed: ['igb0', 'igb1', 'igb2'],
  };
  const uplinks = [
    { interface: 'igb0', gateway: '203.0.113.1' },
    { interface: 'igb2', gateway: '198.51.100.1' },
  ];

  for (const { name, content } of RULESETS) {
    it(name, () => {
      const pf = createFakePf();
      loadPfConf(pf, content, firewalls);
      const all = found(pf, { uplinks }, { ingress });
      const levelOf = (check: string) => all.filter((one) => one.check === check).map(({ level }) => level);
      assert.deepEqual(
        levelOf('block-quick'),
        ['ok'],
        'blocks of tables and single hosts keep nobody from the pinholes',
      );
      assert.deepEqual(levelOf('outbound-media'), ['ok']);
      // antispoof of pfSense is not quick, and the quick rule for SIP on the second uplink lets an inside address in.
      assert.deepEqual(levelOf('antispoof'), [name.startsWith('opn') ? 'ok' : 'caution']);
      assert.deepEqual(levelOf('default-drop'), ['ok']);
      assert.match(
        all
          .filter(({ check }) => check === 'nat')
          .map((one) => one.text)
          .join(),
        /^the ruleset forwards SIP to 192\.168\.1\.10, which nat: does not have/,
      );
    });
  }
});
