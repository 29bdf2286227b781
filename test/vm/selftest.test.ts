import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { write } from './daemon.ts';
import { type Guest, openGuest, withoutGuest } from './guest.ts';
import { egress, type RulesetOptions, ruleset } from './ruleset.ts';

interface Told {
  readonly status: number;
  readonly stderr: string;
  readonly announced: string;
  readonly rules: string;
  readonly steps: readonly { readonly step: string; readonly state: string; readonly text: string }[];
}

const SITE = 'inside: [192.0.2.0/24]\nmedia-ports: [10000-20000]\n';
const EXTERNAL = '198.51.100.1';

/** A call through a copy of pf's rules, in jails. */
describe('pinholed selftest on FreeBSD', { skip: withoutGuest }, () => {
  let guest: Guest;

  before(async () => {
    guest = await openGuest();
    await guest.run('pw useradd _pinholed -d /nonexistent -s /usr/sbin/nologin; pfctl -q -e; true');
    await guest.run(`route -q add default ${EXTERNAL.replace(/1$/, '254')}`);
  });

  after(() => guest?.close());

  const load = async (options: RulesetOptions) => {
    await write(guest, '/etc/pf.conf', ruleset(guest, options));
    await guest.run('pfctl -q -f /etc/pf.conf');
  };

  async function told(config: string): Promise<Told> {
    const { files } = guest;
    await write(guest, `${files}/selftest.yaml`, config);
    const environment = process.env['PINHOLED_VM_ENVIRONMENT'] ?? '';
    const text = await guest.run(
      `env ${environment} ${files}/pinholed selftest --json --config ${files}/selftest.yaml ` +
        `>${files}/told 2>${files}/complaints; echo $?; cat ${files}/complaints; echo =====; cat ${files}/told`,
    );
    const [head = '', json = ''] = text.split('=====\n');
    const [status, ...complaints] = head.split('\n');
    const empty = { announced: '', rules: '', steps: [] };
    const found = json.trim() === '' ? empty : (JSON.parse(json) as Omit<Told, 'status' | 'stderr'>);
    return { ...found, status: Number(status), stderr: complaints.join('\n').trim() };
  }

  const stops = ({ steps }: Told) => steps.filter(({ state }) => state === 'stopped').map(({ step }) => step);
  const machineNow = async () => {
    const interfaces = 'for i in $(ifconfig -l); do ifconfig $i | grep -v "media\\|options"; done';
    return await guest.run(`${interfaces}; jls; pfctl -q -sn; pfctl -q -sr; netstat -rn -f inet`);
  };

  it('passes where the rules are as they have to be, and leaves nothing and changes nothing', async () => {
    await load({ last: egress(guest) });
    const machine = await machineNow();
    const result = await told(SITE);
    assert.deepEqual(
      result.steps.map(({ step, state }) => `${step} ${state}`),
      [
        ...['INVITE out', 'address outside', '200 in', 'pinhole', 'media in, first', 'stranger'],
        ...['its answer out', 'media out, first', 'its answer in', 'BYE, 200', 'closed'],
      ].map((step) => `${step} passed`),
      JSON.stringify(result),
    );
    assert.deepEqual([result.status, result.stderr], [0, '']);
    assert.equal(result.rules, '/etc/pf.conf');
    assert.equal(await machineNow(), machine);
  });

  it('names what is missing: the anchor of the pinholes', async () => {
    await load({ anchor: false, last: egress(guest) });
    const result = await told(SITE);
    assert.deepEqual([result.status, stops(result)], [2, ['media in, first']], JSON.stringify(result));
  });

  it('sees that a host inside may answer media and not send first', async () => {
    await load({});
    const result = await told(SITE);
    assert.deepEqual([result.status, stops(result)], [2, ['media out, first']], JSON.stringify(result));
    const opened = await told(`${SITE}outbound: true\n`);
    assert.deepEqual([opened.status, stops(opened)], [0, []], JSON.stringify(opened));
  });

  it('sees that SIP is not handed over', async () => {
    await write(guest, '/etc/pf.conf', ruleset(guest, { divert: false, last: egress(guest) }));
    const result = await told(SITE);
    assert.deepEqual([result.status, stops(result)], [2, ['INVITE out']], JSON.stringify(result));
    assert.match(result.steps[0]!.text, /INVITE arrived, but the daemon was not handed it/);
    assert.match(result.rules, /which is not what is loaded here/);
  });

  it('goes through the NAT of the rules: nobody reaches who announces a private address', async () => {
    const { outside } = guest.interfaces;
    const nat = [
      `nat on ${outside} inet proto udp from 192.0.2.0/24 port 5060 to any -> ${EXTERNAL} static-port`,
      `nat on ${outside} inet from 192.0.2.0/24 to any -> ${EXTERNAL}`,
      'binat-anchor "pinholed"',
      'rdr-anchor "pinholed"',
    ];
    await load({ nat, last: egress(guest, EXTERNAL) });
    const without = await told(SITE);
    assert.deepEqual(stops(without), ['address outside'], JSON.stringify(without));
    const entry = `nat: [{ external: ${EXTERNAL}, hosts: [192.0.2.0/24] }]\n`;
    const withNat = await told(`${SITE}${entry}`);
    assert.deepEqual([withNat.status, stops(withNat)], [0, []], JSON.stringify(withNat));
    assert.equal(withNat.announced, EXTERNAL);
  });
});
