import { defaultText } from '../../src/config/print.ts';
import { kebab, type Leaf, type Settings, schema } from '../../src/config/schema.ts';
import { table } from './refusals.ts';

/** Where each deadline comes from. T1 is 500 ms (RFC 3261 17.1.1.1), so 64*T1 is 32 s. */
const SOURCES: Readonly<Record<keyof Settings['timers'], string>> = {
  offer: 'RFC 3261 17.1.1.2: Timer B, 64*T1.',
  ringing:
    'RFC 3261 16.6, step 11: Timer C, 3 minutes, started anew by each provisional response. An Expires of the INVITE (13.2.1) ends it earlier.',
  earlyAny:
    'No RFC. As long as Timer C lets one provisional response wait for the next; a callee that sends one a minute would else hold a port open to everybody until timers.max-call.',
  ack: 'RFC 3261 13.3.1.4: a 2xx is sent again for 64*T1.',
  mediaIdle:
    'No RFC. RTCP alone (RFC 3550 6.2, at most some 5 s apart for two parties) keeps a call with silence suppression alive. Others: Cisco ASA 2 min, Juniper SRX 2 min, rtpengine 1 min.',
  holdIdle: 'No RFC. Juniper call-hold-timeout is 2 h, too.',
  oneWay:
    'No RFC. Without it packets of one party alone would hold a port of the other open until timers.max-call.',
  noAudio:
    'No RFC. Twice the longest time between two RTCP packets of two parties (RFC 3550 6.2), so that silence suppression is not taken for a fault.',
  staticIdle:
    'RFC 3261 10.2.1.1: registrations are renewed within the hour, and RFC 5626 4.4.1 has a keepalive every two minutes on a connection.',
  sessionGrace:
    'RFC 4028 10: the BYE is sent up to 32 s before the session expires; this is the same to the other side.',
  sessionFloor: 'RFC 4028 5: no Min-SE, and so no Session-Expires, below 90 s.',
  maxCall: 'No RFC. Juniper SRX ends calls after 12 h, too; here media that flows goes on, see below.',
  afterBye: 'RFC 3261 17.1.2.2: Timer F, 64*T1.',
  afterCancel: 'RFC 3261 9.1: the INVITE counts as cancelled 64*T1 after the CANCEL.',
  drain: 'No RFC. Packets in jitter buffers and on the way.',
  oldPort: 'RFC 3264 8.3.1: the old port is to be listened on until media arrives on the new one.',
  forks: 'RFC 3261 13.2.2.4: other 2xx are awaited for 64*T1 after the first.',
  iceUnused: 'RFC 7675 5.1: consent that is not renewed is lost after 30 s; twice that.',
  muxGrace: 'RFC 5761 5.1.1: separate RTCP ends with the answer; what is on the way may arrive.',
  tcpPartial: 'No RFC. Cisco ASA tcp-proxy-reassembly is 60 s.',
  retransmissionMemory: 'RFC 3261 17.2.1 and 17.2.2: Timers H and J, 64*T1, and T4 of 5 s, rounded up.',
  firewallRetry: 'No RFC. pf answers EBUSY while another process loads a ruleset.',
};

/** State timeouts of pinhole rules: a silent flow loses its state, not its pinhole. */
const STATE_TIMEOUTS = {
  udpFirst: 'pf.conf(5): udp.first, after the first packet.',
  udpSingle: 'pf.conf(5): udp.single, while only one side has sent.',
  udpMultiple: 'pf.conf(5): udp.multiple, once both have.',
} as const satisfies Partial<Record<keyof Settings['freebsd'], string>>;

const HEAD = `# Timers

<!-- Generated from src/config/schema.ts and scripts/docs/timers.ts: npm run docs -->

Every deadline after which something closes or is forgotten, with the setting that changes it. Inline they run on a
monotonic clock, in \`pinholed replay\` on the times of the capture; a step of the wall clock changes none of them.
RFCs are named where one says the number.
`;

const STATES = `## pf states

A pinhole is a rule; the states it makes come and go with the media. They end with the pinhole at the latest. On Linux
the kernel's own conntrack timeouts hold (net.netfilter.nf_conntrack_udp_timeout and _stream).
`;

const MEDIA = `## Media goes before timers

A timer is a guess that nobody talks any more; packets that are counted are knowledge. Decided, and why:

- **While media flows both ways no timer ends a call**: neither a session timer that nobody refreshes (RFC 4028 10 has the
  party that misses the refresh send a BYE, and many do not; the answer to that BYE closes the pinholes) nor
  \`timers.max-call\`, nor \`timers.ringing\` where a provisional response has answered the offer: queues that cost nothing
  until somebody takes the call send one 183 and then media for as long as it takes. Media from one side alone keeps a call
  for \`timers.one-way\` at most, so that a stranger who has learnt a port cannot hold it open. Who sends RTCP is heard; who
  is muted with silence suppression and without RTCP for longer than \`timers.media-idle\` is not.
- **A call that was closed for silence is not over.** Its pinholes are gone, and it opens them again by itself as soon as
  the host inside goes on with it: with a request of its own in the dialog, or a 2xx to one (a session refresh, a re-INVITE
  to resume, OPTIONS). A request from outside alone opens nothing, and media that arrives cannot: what was closed lets
  nothing through that could be counted. A pinhole that stayed open for a silent call would be a port open for hours to
  whoever sent last, for the sake of calls that are silent for more than \`timers.media-idle\` without hold and without
  RTCP; those raise that setting.
- **A call on hold is expected to be silent** (\`timers.hold-idle\`).
- **A call that rang for too long, or that found no place, is remembered**: its 2xx opens what it would have opened.
- **A BYE ends a call whatever flows**: its final response, or \`timers.after-bye\` without one. A media stream of one
  side alone after it keeps nothing open.
`;

/** docs/timers.md. */
export function timersMarkdown(): string {
  const timers = Object.entries(SOURCES).map(([name, source]) =>
    row(`timers.${kebab(name)}`, schema.timers.entries[name as keyof typeof SOURCES], source),
  );
  const states = Object.entries(STATE_TIMEOUTS).map(([name, source]) =>
    row(`freebsd.${kebab(name)}`, schema.freebsd.entries[name as keyof typeof STATE_TIMEOUTS], source),
  );
  const head = ['Setting', 'Default', 'Range', 'What it ends', 'Source'];
  return [HEAD, table(head, timers), MEDIA, STATES, table(head, states)].join('\n');
}

function row(key: string, setting: Leaf, source: string): string[] {
  const range = setting.kind.expected.replace('a duration between ', '').replace(' and ', ' to ');
  return [`\`${key}\``, defaultText(setting, 'freebsd'), range, setting.about, source];
}
