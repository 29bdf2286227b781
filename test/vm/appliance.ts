/**
 * The FreeBSD machine as the firewall of test/pfsense/real/config.xml and test/opnsense/real/config.xml, under the names of
 * its interfaces, so that what those products made is not touched; and the calls that have to pass through their rulesets.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import type { TestContext } from 'node:test';
import { pause, send, take, textsAt } from '../../lab/steps.ts';
import type { TransportAddress } from '../../src/address/address.ts';
import { sip } from '../scene.ts';
import { arrival, assertMedia, call, type Dialog, hangUp, type Party, party } from './behind.ts';
import { eventually } from './daemon.ts';
import { MACS } from './guest.ts';
import { describeMedia, type Lab, open, openLab, shut } from './lab.ts';

const WAN = '203.0.113.2';
const GATEWAY = '203.0.113.1';
const WAN2 = '198.51.100.2';
const GATEWAY2 = '198.51.100.1';
/** Beyond both gateways. Its SIP is let in by WAN, and forwarded to the PBX. */
const PROVIDER = '192.0.2.10';
const OTHER = '192.0.2.11';
const PBX = '192.168.1.10';
/** A PBX with an address of its own outside, by 1:1 NAT. */
const MAPPED = { inside: '192.168.1.12', outside: '203.0.113.12' } as const;
/** A telephone that policy routing sends out by WAN2. */
const ROUTED = '192.168.1.20';
const BLOCKED = '192.168.1.66';

/** `vlan`: name of the interface of the telephones. `files`: what the ruleset reads, and the lock. */
export async function openAppliance(vlan: string, files: readonly string[]): Promise<Lab> {
  const lab = await openLab({ second: true });
  const { run, interfaces, second, namespaces } = lab.guest;
  await run(prepare(files));
  for (const [device, name, address] of [
    [interfaces.outside, 'igb0', WAN],
    [interfaces.inside, 'igb1', '192.168.1.1'],
    [second, 'igb2', WAN2],
  ]) {
    await run(
      `ifconfig ${device} inet | awk '/inet /{print $2}' | while read a; do ifconfig ${device} inet $a -alias; done; ` +
        `ifconfig ${device} name ${name} && ifconfig ${name} inet ${address}/24 -txcsum -rxcsum -tso -lro up`,
    );
  }
  await run(
    `ifconfig lo9 create && ifconfig lo9 name ${vlan} && ifconfig ${vlan} inet 192.168.20.1/24 up && ` +
      `route -q add default ${GATEWAY}`,
  );
  const within = (namespace: string, words: string) => ip('-n', namespace, ...words.split(' '));
  const { outside, inside } = namespaces;
  within(outside, 'link set tap1 up');
  for (const [device, address] of [
    ['tap0', GATEWAY],
    ['tap1', GATEWAY2],
  ] as const) {
    within(outside, `address flush dev ${device} scope global`);
    within(outside, `address add ${address}/24 dev ${device}`);
    // What comes by the wrong one of the two is dropped.
    ip('netns', 'exec', outside, 'sysctl', '-qw', `net.ipv4.conf.${device}.rp_filter=1`);
  }
  // The address of 1:1 NAT is routed here: were it the interface's as well, the forward of "WAN address" would have its SIP.
  within(outside, `neighbour add ${MAPPED.outside} lladdr ${MACS.outside} dev tap0 nud permanent`);
  for (const one of [PROVIDER, OTHER]) within(outside, `address add ${one}/32 dev lo`);
  within(inside, 'address flush dev tap0 scope global');
  for (const one of [PBX, MAPPED.inside, ROUTED, BLOCKED]) within(inside, `address add ${one}/24 dev tap0`);
  within(inside, 'route replace default via 192.168.1.1');
  return lab;
}

/** What such a ruleset needs to be loaded. */
export function prepare(files: readonly string[]): string {
  const made = files.map((path) => `mkdir -p ${path.slice(0, path.lastIndexOf('/'))}; : > ${path}; `);
  return `${made.join('')}kldload -n ipdivert`;
}

/** The provider calls the PBX by the forwarded port, and the PBX the provider: strangers do not get in, and all closes. */
export const byPortForward = (lab: Lab): Promise<void> =>
  bothWays(lab, party(lab.outside, PROVIDER), party(lab.inside, PBX, WAN));

/** The same for a PBX with 1:1 NAT. */
export const byMapping = (lab: Lab): Promise<void> =>
  bothWays(lab, party(lab.outside, PROVIDER), party(lab.inside, MAPPED.inside, MAPPED.outside));

async function bothWays(lab: Lab, outer: Party, inner: Party): Promise<void> {
  const other = party(lab.outside, OTHER);
  await Promise.all([outer, inner].map(open));
  const isLetIn = async () => (await arrival(outer, inner)) !== null;
  assert.equal(await isLetIn(), false);

  const called = await call(outer, inner, { caller: 'at once', callee: 'after the ACK' });
  await assertMedia(outer, inner);
  await open(other);
  assert.equal(await arrival(other, inner), null);
  const neighbour = { ...inner.announced, port: inner.announced.port + 4 };
  assert.equal(await arrival(outer, inner, neighbour), null);
  await hangUp(called);
  await eventually(async () => !(await isLetIn()));

  const calling = await call(inner, outer, { caller: 'at once', callee: 'after the ACK' });
  await assertMedia(inner, outer);
  await hangUp(calling);
  await eventually(async () => !(await isLetIn()));
  await Promise.all([outer, inner, other].map(shut));
}

/** A telephone that a rule of the user's blocks gets neither SIP nor media out. */
export async function staysBlocked(lab: Lab): Promise<void> {
  const [outer, telephone] = [party(lab.outside, PROVIDER), party(lab.inside, BLOCKED)];
  await Promise.all([outer, telephone].map(open));
  assert.equal(await arrival(telephone, outer), null);
  assert.equal(await ask(telephone, outer, 'blocked'), null);
  await Promise.all([outer, telephone].map(shut));
}

/**
 * What a rule of the user's sends by the second gateway leaves by it: media always, and SIP, which the daemon had, where the
 * kernel keeps the gateway of a diverted packet: FreeBSD 15.0 and 15.1 do not (opnsense/src#308).
 */
export async function staysRouted(lab: Lab, context: Pick<TestContext, 'diagnostic'>): Promise<void> {
  const [outer, telephone] = [party(lab.outside, PROVIDER), party(lab.inside, ROUTED)];
  await Promise.all([outer, telephone].map(open));
  assert.equal((await arrival(telephone, outer))?.address, WAN2);
  const diverted = await lab.diverted();
  const seen = await ask(telephone, outer, 'routed');
  assert.equal((await lab.diverted()) - diverted, 1);
  const release = Number.parseFloat(await lab.guest.run('uname -r'));
  if (release >= 15 && release < 15.2) context.diagnostic(`SIP on FreeBSD ${release}: from ${seen?.address}`);
  else assert.equal(seen?.address, WAN2);
  assert.equal((await arrival(telephone, outer))?.address, WAN2);
  await Promise.all([outer, telephone].map(shut));
}

/** Where an INVITE of one was seen by the other, or null. It is cancelled by nobody: its pinhole ends with its timer. */
async function ask(from: Party, to: Party, name: string): Promise<TransportAddress | null> {
  const callId = `${name}-${from.media.port}-${process.pid}@example.com`;
  const invite = sip('INVITE', { callId, body: describeMedia(from.announced) });
  await to.actor.run([take(to.sipSocket)]);
  await from.actor.run([send(from.sipSocket, to.sipSeen, invite)]);
  const arrivals = await to.actor.run([pause(2000), take(to.sipSocket)]);
  const found = arrivals.find((one) => textsAt([one], to.sipSocket).includes(invite));
  return found === undefined ? null : { address: found.from, port: found.fromPort };
}

/** The ruleset is loaded again under calls as the firewall does it, and its states are flushed: nothing is lost. */
export async function outlivesReloads(lab: Lab, lock: string): Promise<void> {
  const calls = [
    { outer: party(lab.outside, PROVIDER), inner: party(lab.inside, PBX, WAN) },
    { outer: party(lab.outside, OTHER), inner: party(lab.inside, MAPPED.inside, MAPPED.outside) },
  ];
  const dialogs: Dialog[] = [];
  for (const { outer, inner } of calls) {
    await Promise.all([open(outer), open(inner)]);
    dialogs.push(await call(outer, inner, { caller: 'at once', callee: 'after the ACK' }));
  }
  const { run, files } = lab.guest;
  for (let times = 0; times < 5; times++) {
    await run(`lockf -k ${lock} pfctl -q -o basic -f ${files}/pf.conf`);
    for (const { outer, inner } of calls) await assertMedia(outer, inner);
  }
  await run('pfctl -q -F states');
  for (const { outer, inner } of calls) await assertMedia(outer, inner);
  for (const dialog of dialogs) await hangUp(dialog);
  for (const { outer, inner } of calls) {
    await eventually(async () => (await arrival(outer, inner)) === null);
  }
  await Promise.all(calls.flatMap(({ outer, inner }) => [outer, inner]).map(shut));
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
