import type { Root } from './root.ts';

/** Changes of config.xml, by the places that it has for them. */
export type Changes = Readonly<Record<'FORM' | 'RULES' | 'NAT' | 'SYSTEM', string>>;

const on = '<enable>on</enable>';

/** Configurations whose rulesets pf has to take, each with what is special about it. */
export const RULESETS: Readonly<Record<string, Partial<Changes>>> = {
  'follow my rules, after my rules': { FORM: on },
  'all SIP, before my rules': { FORM: `${on}<siprules>all</siprules><position>before</position>` },
  'fail open, all SIP': { FORM: `${on}<siprules>all</siprules><fail>open</fail>` },
  'several SIP ports, media over TCP, media ports in parts': {
    FORM: `${on}<sipports>5060, 5080-5090</sipports><tcpmedia>on</tcpmedia><mediaports>10000-20000 30000</mediaports>`,
  },
  'a pair of firewalls': { FORM: `${on}<storeurl>redis://192.168.1.30:6379</storeurl>` },
  'a pair of firewalls, all SIP': {
    FORM: `${on}<storeurl>redis://192.168.1.30:6379</storeurl><siprules>all</siprules>`,
  },
  '1:1 NAT': {
    FORM: on,
    NAT:
      '<onetoone><external>203.0.113.12</external><interface>wan</interface><source><address>192.168.1.12</address></source>' +
      '<destination><any></any></destination><ipprotocol>inet</ipprotocol></onetoone>',
  },
  'floating states, bogons and private networks on LAN': {
    FORM: on,
    SYSTEM: '<statepolicy>floating</statepolicy>',
  },
  'every kind of rule': {
    FORM: on,
    RULES: [
      '<statetype>sloppy state</statetype>',
      '<statetype>none</statetype>',
      '<protocol>tcp</protocol><statetype>synproxy state</statetype>',
      '<max>10</max><max-src-nodes>5</max-src-nodes><max-src-states>7</max-src-states><source-track>x</source-track>',
      '<protocol>tcp</protocol><max-src-conn-rate>3</max-src-conn-rate><max-src-conn-rates>10</max-src-conn-rates>',
      '<statetimeout>300</statetimeout><protocol>udp</protocol>',
      '<log></log><allowopts></allowopts><nopfsync></nopfsync>',
      '<dscp>ef</dscp>',
      '<tag>voice</tag><tagged>phone</tagged>',
      '<protocol>tcp</protocol><tcpflags_any></tcpflags_any>',
      '<protocol>tcp</protocol><os>Windows</os>',
      '<type>reject</type><source><address>192.168.1.67</address></source>',
    ]
      .map(
        (fields, index) =>
          `<rule><tracker>170000000${index}</tracker><interface>lan</interface><ipprotocol>inet</ipprotocol>` +
          `${fields.includes('<type>') ? '' : '<type>pass</type>'}${fields.includes('<source>') ? '' : `<source><address>192.168.1.${100 + index}</address></source>`}` +
          `${fields}<destination><any></any></destination><descr>kind ${index}</descr></rule>`,
      )
      .join('\n'),
  },
};

/** The ruleset that pfSense makes for a configuration. */
export function rulesetOf(root: Root, changes: Partial<Changes>): { rules: string; rejected: string | null } {
  root.configure(changes);
  return root.reload();
}
