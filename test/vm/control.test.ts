import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { send } from '../../lab/steps.ts';
import { eventually, type GuestDaemon, startDaemon } from './daemon.ts';
import { ADDRESSES, type Guest, withoutGuest } from './guest.ts';
import { type Agent, type Dialog, hangUp, type Lab, mediaPasses, open, openLab, setUp, shut } from './lab.ts';
import { CONFIG, ruleset } from './ruleset.ts';

const PAGE = '127.0.0.1:8480';
const METRICS = '127.0.0.1:9477';

interface PinholeReply {
  readonly address: string;
  readonly ports: readonly [number, number];
  readonly sources: readonly string[];
  readonly packets: number;
}

describe('the running daemon, asked on FreeBSD', { skip: withoutGuest }, () => {
  let lab: Lab;
  let guest: Guest;
  let daemon: GuestDaemon;
  let caller: Agent;
  let callee: Agent;
  let dialog: Dialog;

  /** What a command prints, without colours. */
  const pinholed = (words: string) =>
    guest.run(`NO_COLOR=1 ${guest.files}/pinholed ${words} --config ${guest.files}/pinholed.yaml`);
  const get = (url: string) => guest.run(`fetch -qo - http://${url}`);
  async function pinholes(): Promise<readonly PinholeReply[]> {
    const reply = JSON.parse(await pinholed('pinholes --json')) as { pinholes: PinholeReply[] };
    return reply.pinholes;
  }
  /** Packets to this agent's media, as the daemon tells it. */
  async function packetsTo({ media }: Agent): Promise<number> {
    const there = await pinholes();
    return there.find(({ address, ports }) => address === media.address && ports[0] === media.port)!.packets;
  }

  before(async () => {
    lab = await openLab();
    guest = lab.guest;
    // Inside hosts may send where they like: as most rulesets have it.
    const sending = ['192.0.2.0/24', ADDRESSES.outside[4], '2001:db8:2::/64', '2001:db8:1::/64'].map(
      (source) => `pass quick proto udp from ${source} to any port 10000:65535`,
    );
    daemon = await startDaemon(
      guest,
      `${CONFIG}web: ${PAGE}\nmetrics: ${METRICS}\n`,
      ruleset(guest, { first: sending }),
    );
    await guest.run(`chmod 711 /root; chmod 755 ${guest.files}`);
    ({ caller, callee } = lab.agents());
    await Promise.all([open(caller), open(callee)]);
    dialog = await setUp(caller, callee);
    assert.ok(await mediaPasses(caller, callee));
  });

  after(async () => {
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  it('status', async () => {
    const text = await pinholed('status');
    assert.match(text, /^version +pinholed \S+ on FreeBSD \d+\.\d/m);
    assert.match(text, /^process .*user _pinholed, supervised$/m);
    assert.match(text, /^calls +1 now/m);
    assert.match(text, /^pinholes +2 open/m);
    assert.match(text, /^bytes modified +0 /m);
    assert.match(text, /No alarms\./);
  });

  it('packets are counted once, each way by itself, whichever rule made the state', async () => {
    // `early` and a probe from inside, whose state is that of the rule for inside hosts; `first` and a probe back.
    await eventually(async () => (await packetsTo(caller)) === 2 && (await packetsTo(callee)) === 2);
    const more = Array.from({ length: 5 }, (_, index) => send(caller.mediaSocket, callee.media, `${index}`));
    await caller.actor.run(more);
    await eventually(async () => (await packetsTo(callee)) === 7);
    assert.equal(await packetsTo(caller), 2);
  });

  it('calls, stats, exposure, explain', async () => {
    const calls = await pinholed('calls -v');
    assert.match(calls, new RegExp(`Call-ID +${dialog.callId}`));
    assert.match(calls, /state +confirmed/);
    assert.match(calls, new RegExp(`${callee.media.address}:${callee.media.port}-\\d+ from .*, 7 packets`));
    assert.match(await pinholed('stats'), /^INVITE +2$/m);
    assert.match(await pinholed('exposure'), /^ports open now +\S+ +4$/m);
    const story = await pinholed(`explain ${dialog.callId}`);
    assert.match(story, /A --> B {2}INVITE[\s\S]*A <-- B {2}200[\s\S]*A --> B {2}ACK/);
    assert.doesNotMatch(story, /nothing came/);
  });

  it('doctor: the kernel, pf, the ruleset, the daemon, and its rules one by one', async () => {
    const text = await guest.run(
      `NO_COLOR=1 ${guest.files}/pinholed doctor --config ${guest.files}/pinholed.yaml; echo "status $?"`,
    );
    assert.match(text, /ok +pf is enabled/);
    assert.match(text, /ok +4 rules divert to port 8668/);
    assert.match(text, /ok +2 pinholes are open, and the packet filter holds exactly their 2\s+rules/);
    assert.doesNotMatch(text, /fault/);
    // The inside networks of these tests are on both sides of the machine: no interface leads outside alone.
    assert.match(text, /unknown +no interface is known that leads outside alone/);
    assert.match(text, /^1 check not made$[\s\S]*^status 2$/m);
    const asNobody = await guest.run(`su -m nobody -c '${guest.files}/pinholed doctor'; true`);
    assert.match(asNobody, /pf is for root to see/);
  });

  it('top, on a terminal', async () => {
    const [keys, typescript] = [`${guest.files}/keys`, `${guest.files}/typescript`];
    const screen = await guest.run(
      `( rm -f ${keys} ${typescript}; mkfifo ${keys}; ` +
        `script -q -t 0 ${typescript} ${guest.files}/pinholed top --config ${guest.files}/pinholed.yaml <${keys} >/dev/null & ` +
        `exec 3>${keys}; for i in $(jot 600); do grep -q '1 call' ${typescript} 2>/dev/null && break; sleep 0.2; done; ` +
        `echo q >&3; exec 3>&-; wait; cat ${typescript} )`,
    );
    assert.match(screen, /1 call/);
  });

  it('metrics and the live page, on their own addresses', async () => {
    const metrics = await get(`${METRICS}/metrics`);
    assert.match(metrics, /^pinholed_calls 1$/m);
    assert.match(metrics, /^pinholed_media_packets_total 9$/m);
    assert.match(await get(`${PAGE}/`), /<title>pinholed<\/title>/);
    // DNS rebinding: the page answers to no other name.
    await assert.rejects(get(`${PAGE.replace('127.0.0.1', 'localhost.example.com')}/`));
  });

  it('nobody else may ask', async () => {
    const answer = await guest.run(
      `su -m nobody -c '${guest.files}/pinholed status --socket /var/run/pinholed.sock'; true`,
    );
    assert.match(answer, /permission|may not/i);
  });

  it('close takes the rules out, and BYE goes through', async () => {
    assert.match(await pinholed(`close ${dialog.callId}`), /^closed [0-9a-f]{16}$/m);
    await eventually(async () => (await lab.pinholes()).length === 0);
    await hangUp(caller, callee, dialog);
    await Promise.all([shut(caller), shut(callee)]);
    assert.deepEqual(await pinholes(), []);
    assert.match(await daemon.log(), /closed audio .*: administrator, 9 packets/);
  });

  it('a call of a moment: every packet is in its closing line', async () => {
    const { caller: one, callee: two } = lab.agents();
    await Promise.all([open(one), open(two)]);
    const short = await setUp(one, two);
    await hangUp(one, two, short);
    const line = await daemon.said(new RegExp(`closed audio .*:${one.media.port}.*: bye`));
    assert.match(line, /: bye, 2 packets/);
    await eventually(async () => (await lab.pinholes()).length === 0);
    await Promise.all([shut(one), shut(two)]);
  });
});
