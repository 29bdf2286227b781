/** Two PBXs behind the FreeBSD machine's own address, a ruleset that translates, and what pf has for calls through it. */
import assert from 'node:assert/strict';
import type { Party } from './behind.ts';
import { eventually } from './daemon.ts';
import { ADDRESSES, type Guest } from './guest.ts';
import type { Lab } from './lab.ts';

/** The firewall's own address outside, which the PBXs behind it announce. */
export const EXTERNAL = '198.51.100.1';
export const PBX = ADDRESSES.inside[4];
export const OTHER_PBX = ADDRESSES.inside.stranger;
export const TRUNK = ADDRESSES.outside[4];
export const OTHER_TRUNK = ADDRESSES.outside.stranger;

/**
 * What every such ruleset has: the anchors, signalling, and a general rule that gives other ports to all the rest.
 * `external` as pf.conf(5) writes it.
 */
export function translating(
  { interfaces: { outside: device } }: Guest,
  external: string = EXTERNAL,
): string[] {
  return [
    `nat on ${device} inet proto { tcp udp } from ${PBX} port 5060 to any -> ${external} static-port`,
    `nat on ${device} inet proto { tcp udp } from ${OTHER_PBX} port 5060 to any -> ${external} static-port`,
    `nat on ${device} inet from 192.0.2.0/24 to any -> ${external}`,
    'binat-anchor "pinholed"',
    'rdr-anchor "pinholed"',
    `rdr on ${device} inet proto { tcp udp } from ${OTHER_TRUNK} to ${external} port 5060 -> ${OTHER_PBX}`,
    `rdr on ${device} inet proto { tcp udp } to ${external} port 5060 -> ${PBX}`,
  ];
}

/** Rules and translations for the media of these parties, as pfctl prints them. */
export function rulesOf(lab: Lab, ...parties: Party[]): Promise<string[]> {
  return lab.rulesAt(...parties.map(({ media }) => media.port));
}

/** The translations alone. */
export async function translationsOf(lab: Lab, ...parties: Party[]): Promise<string[]> {
  return (await rulesOf(lab, ...parties)).filter((line) => /^(rdr|binat)/.test(line));
}

/** Neither a rule nor a translation nor a state is left. The daemon has 100 ms; the machine is emulated. */
export async function assertClosed(lab: Lab, ...parties: Party[]): Promise<void> {
  const states = () => lab.mediaStates(...parties);
  await eventually(async () => (await states()).length === 0, 30_000).catch(async () =>
    assert.deepEqual(await states(), []),
  );
  assert.deepEqual(await rulesOf(lab, ...parties), []);
}
