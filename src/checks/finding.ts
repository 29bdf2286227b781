/** What `pinholed doctor` looks at, and what it finds. */

export const SECTIONS = ['system', 'firewall', 'configuration', 'daemon'] as const;
export type FindingSection = (typeof SECTIONS)[number];

/** Every check there is, in the order in which findings are shown, with its section. docs/doctor.md explains each. */
export const CHECKS = {
  rights: 'system',
  kernel: 'system',
  ipdivert: 'system',
  nfqueue: 'system',
  conntrack: 'system',
  accounting: 'system',
  'sip-helper': 'system',
  forwarding: 'system',
  'reverse-path': 'system',
  'inside-interfaces': 'system',
  states: 'system',
  pf: 'firewall',
  anchor: 'firewall',
  reassembly: 'firewall',
  'anchor-limit': 'firewall',
  'divert-rule': 'firewall',
  'divert-route': 'firewall',
  ruleset: 'firewall',
  'queue-rule': 'firewall',
  'queue-bypass': 'firewall',
  'queue-listener': 'firewall',
  table: 'firewall',
  'default-drop': 'firewall',
  'accept-established': 'firewall',
  'accept-mark': 'firewall',
  'accept-sip': 'firewall',
  'outbound-media': 'firewall',
  'block-quick': 'firewall',
  'reply-to': 'firewall',
  antispoof: 'firewall',
  nat: 'firewall',
  configuration: 'configuration',
  user: 'configuration',
  journal: 'configuration',
  running: 'daemon',
  version: 'daemon',
  mode: 'daemon',
  'sip-seen': 'daemon',
  alarms: 'daemon',
  settings: 'daemon',
  rules: 'daemon',
} as const satisfies Record<string, FindingSection>;

export type CheckName = keyof typeof CHECKS;

export interface Finding {
  readonly check: CheckName;
  /** `fault`: it cannot work so. `caution`: part of it does not. `unknown`: it could not be looked at. */
  readonly level: 'ok' | 'caution' | 'fault' | 'unknown';
  /** What is so. */
  readonly text: string;
  /** What to do about it; empty when all is well. */
  readonly advice: string;
}

export const ok = (check: CheckName, text: string): Finding => ({ check, level: 'ok', text, advice: '' });

export const caution = (check: CheckName, text: string, advice: string): Finding => ({
  check,
  level: 'caution',
  text,
  advice,
});

export const fault = (check: CheckName, text: string, advice: string): Finding => ({
  check,
  level: 'fault',
  text,
  advice,
});

export const unknown = (check: CheckName, text: string, advice: string): Finding => ({
  check,
  level: 'unknown',
  text,
  advice,
});

/** What is to be loaded, as advice names it. */
export const PASTE = 'the lines that "pinholed rules" prints';
