/**
 * The same calls and attacks through Linux' nf_conntrack_sip and through pinholed, as a table in Markdown: does a
 * media packet arrive that should, and one that should not? Needs root and Linux; makes network namespaces.
 *
 *   node --import tsx bench/inline/comparison.ts
 */

import { startDaemon } from '../../lab/daemon.ts';
import { createStage, type Stage, type StageOptions, splits } from '../../lab/stage.ts';
import { ADMINISTRATOR, createTopology } from '../../lab/topology.ts';
import { createDialog, type Dialog } from '../../test/linux/dialog.ts';
import { sdp, sip } from '../../test/scene.ts';

/** One question: a media packet that should arrive (true) or not, and whether it did. */
type Ask = (what: string, should: boolean, from: string, to: string) => Promise<void>;

interface Scenario {
  readonly name: string;
  readonly options?: StageOptions;
  readonly play: (stage: Stage, call: Dialog, ask: Ask) => Promise<void>;
}

const UDP: StageOptions = { family: 4 };

const basic: Scenario['play'] = async (stage, call, ask) => {
  await stage.play(call.asks('INVITE', { body: call.offer([4000]) }));
  await ask('early media of the callee', true, 'server:6000', 'client:4000');
  await stage.play(call.answers('200 INVITE', { body: call.answer([6000]) }), call.asks('ACK', { to: 'b' }));
  await ask('media of the caller', true, 'client:4000', 'server:6000');
  await ask('RTCP of the callee', true, 'server:6001', 'client:4001');
  await stage.play(...call.hangUp());
  await ask('media after the end', false, 'server:6000', 'client:4000');
};

const scenarios: readonly Scenario[] = [
  { name: 'call over UDP', play: basic },
  { name: 'call over UDP, IPv6', options: { family: 6 }, play: basic },
  { name: 'call over TCP', options: { family: 4, split: splits['not at all']! }, play: basic },
  {
    name: 'call over TCP, messages cut in the m= line',
    options: { family: 4, split: splits['in the m= line']! },
    play: basic,
  },
  {
    name: 'call over TCP, cut after every byte',
    options: { family: 4, split: splits['after every byte']! },
    play: basic,
  },
  {
    name: 'offer in the 200, answer in the ACK',
    play: async (stage, call, ask) => {
      await stage.play(
        call.asks('INVITE'),
        call.answers('200 INVITE', { body: call.answer([6000]) }),
        call.asks('ACK', { to: 'b', body: call.offer([4000]) }),
      );
      await ask('media of the callee', true, 'server:6000', 'client:4000');
      await ask('media of the caller', true, 'client:4002', 'server:6000');
      await stage.play(...call.hangUp());
    },
  },
  {
    name: 'audio and five more streams',
    play: async (stage, call, ask) => {
      const lines = (first: number) => [0, 1, 2, 3, 4, 5].map((n) => first + 10 * n);
      await stage.play(
        call.asks('INVITE', { body: call.offer(lines(4000)) }),
        call.answers('200 INVITE', { body: call.answer(lines(6000)) }),
        call.asks('ACK', { to: 'b' }),
      );
      await ask('media of the sixth stream', true, 'client:4050', 'server:6050');
      await stage.play(...call.hangUp());
    },
  },
  {
    name: 'a re-INVITE moves a stream',
    play: async (stage, call, ask) => {
      await stage.play(
        ...call.establish(4000, 6000),
        call.asks('INVITE', { to: 'b', cseq: 2, body: call.offer([4200]) }),
        call.answers('200 INVITE', { cseq: 2, body: call.answer([6000]) }),
        call.asks('ACK', { to: 'b', cseq: 2 }),
      );
      await ask('media to the new port', true, 'server:6000', 'client:4200');
      await stage.play(...call.hangUp());
    },
  },
  {
    name: 'a re-INVITE is refused',
    play: async (stage, call, ask) => {
      await stage.play(
        ...call.establish(4000, 6000),
        call.asks('INVITE', { to: 'b', cseq: 2, body: call.offer([4200]) }),
        call.answers('488 INVITE', { cseq: 2 }),
        call.asks('ACK', { to: 'b', cseq: 2 }),
      );
      await ask('media to the refused port', false, 'server:6002', 'client:4200');
      await ask('media to the port as it was', true, 'server:6000', 'client:4000');
      await stage.play(...call.hangUp());
    },
  },
  {
    name: 'a fax takes the place of audio (T.38)',
    play: async (stage, call, ask) => {
      const image = (port: number) => [{ media: 'image', port, proto: 'udptl' }];
      await stage.play(
        ...call.establish(4000, 6000),
        call.calleeAsks('INVITE', { cseq: 7, body: call.answer(image(6200)) }),
        call.callerAnswers('200 INVITE', { cseq: 7, body: call.offer(image(4200)) }),
        call.calleeAsks('ACK', { cseq: 7 }),
      );
      await ask('the fax', true, 'server:6200', 'client:4200');
      await stage.play(...call.hangUp());
    },
  },
  {
    name: 'the callee’s media comes from a relay',
    play: async (stage, call, ask) => {
      await stage.play(
        call.asks('INVITE', { body: call.offer([4000]) }),
        call.answers('200 INVITE', { body: sdp(stage.relay, [6000]) }),
        call.asks('ACK', { to: 'b' }),
      );
      await ask('media of the relay', true, 'relay:6000', 'client:4000');
      await ask('media to the relay', true, 'client:4000', 'relay:6000');
      await stage.play(...call.hangUp());
    },
  },
  {
    name: 'a sender changes its source port (restart of a phone’s media)',
    play: async (stage, call, ask) => {
      await stage.play(...call.establish(4000, 6000), stage.passes('server:6000', 'client:4000'));
      await ask('media from the new port', true, 'server:6400', 'client:4000');
      await stage.play(...call.hangUp());
    },
  },
  {
    name: 'RTCP at another port (a=rtcp)',
    play: async (stage, call, ask) => {
      const line = { port: 4000, attributes: ['rtcp:4321'] };
      await stage.play(call.asks('INVITE', { body: call.offer([line]) }));
      await ask('RTCP', true, 'server:6001', 'client:4321');
      await ask('the port beside, which is nobody’s', false, 'server:6001', 'client:4001');
      await stage.play(call.answers('486 INVITE'));
    },
  },
  {
    name: 'both agreed on rtcp-mux',
    play: async (stage, call, ask) => {
      const mux = (port: number) => [{ port, attributes: ['rtcp-mux'] }];
      await stage.play(
        call.asks('INVITE', { body: call.offer(mux(4000)) }),
        call.answers('200 INVITE', { body: call.answer(mux(6000)) }),
        call.asks('ACK', { to: 'b' }),
      );
      await ask('the port that RTCP no longer has', false, 'server:6001', 'client:4001');
      await stage.play(...call.hangUp());
    },
  },
  {
    name: 'CANCEL, 487',
    play: async (stage, call, ask) => {
      await stage.play(
        call.asks('INVITE', { body: call.offer([4000]) }),
        call.asks('CANCEL'),
        call.answers('200 CANCEL'),
        call.answers('487 INVITE'),
        call.asks('ACK', { to: 'b' }),
      );
      await ask('media after it', false, 'server:6000', 'client:4000');
    },
  },
  {
    name: 'media flows, then BYE',
    play: async (stage, call, ask) => {
      await stage.play(
        ...call.establish(4000, 6000),
        stage.passes('server:6000', 'client:4000'),
        stage.passes('client:4000', 'server:6000'),
        ...call.hangUp(),
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      await ask('media a third of a second after the end', false, 'server:6000', 'client:4000');
    },
  },
  {
    name: 'a stranger sends to the ports of a call',
    play: async (stage, call, ask) => {
      await stage.play(...call.establish(4000, 6000));
      await ask('its packet', false, 'stranger:6000', 'client:4000');
      await stage.play(...call.hangUp());
    },
  },
  {
    name: 'a BYE with wrong tags',
    play: async (stage, call, ask) => {
      await stage.play(
        ...call.establish(4000, 6000),
        call.asks('BYE', { to: 'guessed', cseq: 2 }),
        call.answers('481 BYE', { to: 'guessed', cseq: 2 }),
      );
      await ask('media of the call', true, 'server:6000', 'client:4000');
      await stage.play(...call.hangUp());
    },
  },
  {
    name: 'an SDP names another host inside (A5)',
    play: async (stage, call, ask) => {
      await stage.play(
        call.asks('INVITE', { body: sdp(stage.gateway.address.replace('.10', '.20'), [4000]) }),
      );
      await stage.play(call.answers('486 INVITE'));
      const other = createDialog(stage, 'client', 'stranger');
      await stage.play(other.asks('INVITE', { body: sdp(stage.server.address, [4000]) }));
      await ask('the callee’s packet to the host named', false, 'stranger:6000', 'server:4000');
      await stage.play(other.answers('486 INVITE'));
    },
  },
  {
    name: 'a stranger outside invites, naming a host inside (A6)',
    play: async (stage, _, ask) => {
      const call = createDialog(stage, 'stranger', 'client');
      await stage.play(call.asks('INVITE', { body: sdp(stage.server.address, [4000]) }));
      await ask('the callee’s packet to the host named', false, 'client:6000', 'server:4000');
      await stage.play(call.answers('486 INVITE'));
    },
  },
  {
    name: 'an SDP names port 22 (A7)',
    play: async (stage, call, ask) => {
      await stage.play(call.asks('INVITE', { body: call.offer([22]) }));
      await ask('a packet to port 22', false, 'server:6000', 'client:22');
      await stage.play(call.answers('486 INVITE'));
    },
  },
  {
    name: 'a second SDP behind Content-Length (A12)',
    play: async (stage, call, ask) => {
      const hidden = sip('INVITE', { callId: call.callId, body: call.offer([4000]) }) + call.offer([4400]);
      await stage.play(stage.say('client', 'server', hidden));
      await ask('a packet to the hidden port', false, 'server:6000', 'client:4400');
      await stage.play(call.answers('486 INVITE'));
    },
  },
  {
    name: 'an answer without an INVITE (A24)',
    play: async (stage, call, ask) => {
      await stage.play(call.answers('200 INVITE', { body: call.answer([6000]) }));
      await ask('a packet to the port it names', false, 'client:4000', 'server:6000');
    },
  },
];

/** The kernel's helper for both families and both transports, told by rules which packets are SIP. */
const HELPER = `
table inet helper {
  ct helper sip-udp4 { type "sip" protocol udp; l3proto ip; }
  ct helper sip-tcp4 { type "sip" protocol tcp; l3proto ip; }
  ct helper sip-udp6 { type "sip" protocol udp; l3proto ip6; }
  ct helper sip-tcp6 { type "sip" protocol tcp; l3proto ip6; }
  chain prerouting {
    type filter hook prerouting priority filter;
    meta nfproto ipv4 udp dport 5060 ct helper set "sip-udp4"
    meta nfproto ipv4 tcp dport 5060 ct helper set "sip-tcp4"
    meta nfproto ipv6 udp dport 5060 ct helper set "sip-udp6"
    meta nfproto ipv6 tcp dport 5060 ct helper set "sip-tcp6"
  }
}`;

const SIGNALLING = 'its SIP messages';

interface Finding {
  readonly scenario: string;
  readonly what: string;
  readonly should: boolean;
  readonly did: boolean;
}

async function play(helper: boolean): Promise<Finding[]> {
  const findings: Finding[] = [];
  const topology = await createTopology(
    helper
      ? {
          rules(firewall) {
            firewall('nft', ADMINISTRATOR.replace('established', 'established,related'));
            firewall('nft', HELPER);
          },
        }
      : {},
  );
  try {
    const daemon = helper ? null : await startDaemon(topology);
    for (const { name, options = UDP, play } of scenarios) {
      const stage = await createStage(topology, options);
      let heard = true;
      try {
        await play(stage, createDialog(stage), async (what, should, from, to) => {
          findings.push({ scenario: name, what, should, did: await stage.probe(from, to) });
        });
      } catch (error) {
        if (!(error instanceof Error && /did not arrive/.test(error.message))) throw error;
        heard = false;
      }
      findings.push({ scenario: name, what: SIGNALLING, should: true, did: heard });
      topology.firewall('conntrack', '-F');
      topology.firewall('conntrack', '-F', 'expect');
    }
    await daemon?.close();
  } finally {
    await topology.close();
  }
  return findings;
}

const byHelper = await play(true);
const byPinholed = await play(false);
const cell = (finding: Finding | undefined) =>
  finding === undefined
    ? 'not reached'
    : `${finding.did ? 'arrives' : 'dropped'}${finding.should === finding.did ? '' : ' **!**'}`;
console.log('| scenario | packet | should | nf_conntrack_sip | pinholed |\n|---|---|---|---|---|');
let last = '';
for (const ours of byPinholed) {
  const { scenario, what, should, did } = ours;
  const theirs = byHelper.find((one) => one.scenario === scenario && one.what === what);
  if (what === SIGNALLING && did && theirs?.did) continue;
  const name = scenario === last ? '' : scenario;
  last = scenario;
  console.log(`| ${[name, what, should ? 'arrive' : 'be dropped', cell(theirs), cell(ours)].join(' | ')} |`);
}
