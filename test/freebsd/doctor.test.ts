import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { freebsdErrno, SystemError } from '../../native-bindings/errno.ts';
import {
  IPPROTO_TCP,
  IPPROTO_UDP,
  PF_IN,
  PF_OUT,
  PF_PASS,
  PF_RULESET_FILTER,
} from '../../native-bindings/freebsd/constants.ts';
import type { PfRuleValues } from '../../native-bindings/freebsd/pf-rule.ts';
import { examinePf } from '../../src/checks/examine-freebsd.ts';
import { defaults, type Settings } from '../../src/config/load.ts';
import { createFakePf, type FakePf } from './fake-pf.ts';

const settings = defaults();
const { anchor, divertPort } = settings.freebsd;

/** The rules that pfctl makes of the lines that `pinholed rules` prints: four divert rules. */
const diverting = [PF_IN, PF_OUT].flatMap((direction) =>
  [IPPROTO_TCP, IPPROTO_UDP].map(
    (proto): PfRuleValues => ({
      ...{ action: PF_PASS, direction, proto, quick: 1, divert: { port: divertPort } },
    }),
  ),
);

/** pf with these rules in the main ruleset, behind which it steps into these anchors. */
function pfWith(rules: readonly PfRuleValues[], anchors: readonly string[]): FakePf {
  const pf = createFakePf();
  const transaction = pf.begin([{ ruleset: PF_RULESET_FILTER, anchor: '' }]);
  const [ticket] = transaction.tickets as [number];
  const add = (rule: PfRuleValues, anchorCall?: string) =>
    pf.addRule({
      ...{ anchor: '', ticket, poolTicket: pf.beginAddrs(), rule },
      ...(anchorCall === undefined ? {} : { anchorCall }),
    });
  for (const rule of rules) add(rule);
  for (const called of anchors) add({ action: PF_PASS }, called);
  pf.commit(transaction);
  return pf;
}

/** What is not well, as `level check`. */
function wrong(pf: FakePf, changes: Partial<Settings> = {}): string[] {
  return examinePf(() => pf, { ...settings, ...changes }).flatMap(({ level, check, advice }) => {
    assert.equal(advice === '', level === 'ok');
    return level === 'ok' ? [] : [`${level} ${check}`];
  });
}

describe('doctor on FreeBSD, and pf', () => {
  it('finds nothing wrong with what "pinholed rules" prints', () => {
    assert.deepEqual(wrong(pfWith(diverting, [anchor])), []);
    const any = [{ action: PF_PASS, divert: { port: divertPort } }];
    assert.deepEqual(wrong(pfWith(any, [`${anchor}`])), [], 'a rule for all protocols and directions');
  });

  it('misses the anchor, and rules that divert', () => {
    assert.deepEqual(wrong(pfWith(diverting, [])), ['fault anchor']);
    assert.deepEqual(wrong(pfWith([], [anchor])), ['fault divert-rule']);
    const other = diverting.map((rule) => ({ ...rule, divert: { port: divertPort + 1 } }));
    assert.deepEqual(wrong(pfWith(other, [anchor])), ['fault divert-rule']);
  });

  const names = ['TCP that comes in', 'UDP that comes in', 'TCP that goes out', 'UDP that goes out'];
  for (const [index, name] of names.entries()) {
    it(`misses the rule for ${name}`, () => {
      const found = examinePf(
        () =>
          pfWith(
            diverting.filter((_, at) => at !== index),
            [anchor],
          ),
        settings,
      ).filter(({ level }) => level !== 'ok');
      assert.deepEqual(
        found.map(({ level, text }) => [level, text]),
        [['caution', `3 rules divert to port ${divertPort}, none of them ${name}: such SIP passes unread`]],
      );
    });
  }

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
      examinePf(() => {
        throw new SystemError('freebsd', call, freebsdErrno[code]!, '/dev/pf');
      }, settings);
    for (const code of ['EACCES', 'EPERM']) {
      const [found, ...more] = failing('open', code);
      assert.deepEqual(
        [found!.level, found!.check, found!.advice, more],
        ['unknown', 'pf', 'run it as root', []],
      );
      assert.match(found!.text, /not looked at are anchor, reassembly, anchor-limit, divert-rule$/);
    }
    assert.deepEqual(
      failing('open', 'ENOENT').map(({ level }) => level),
      ['fault'],
    );
    assert.match(failing('DIOCGETSTATUSNV', 'ENODEV')[0]!.text, /^pf cannot be asked: .*ENODEV/);
  });
});
