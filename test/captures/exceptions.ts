import type { BlockReason } from '../../src/report/replay/block-reasons.ts';
import { networks } from '../scene.ts';
import type { Difference } from './compare.ts';
import type { Settings } from './replayed.ts';

/** A flow that rightly does something else than the rule. */
export interface Exception {
  readonly capture: string;
  readonly flow: string;
  readonly what: Difference['what'];
  /** Why its first blocked packets were, by the replay's own word; null when none were. */
  readonly reason: BlockReason | null;
  readonly why: string;
  /** Settings with which an administrator who knows better lets all of it pass; null when there are none. */
  readonly remedy: { readonly text: string; readonly settings: Settings } | null;
}

function mediaHosts(...hosts: string[]): NonNullable<Exception['remedy']> {
  return { text: `media-hosts: [${hosts.join(', ')}]`, settings: { mediaHosts: networks(...hosts) } };
}

const EARLY: Exception['remedy'] = {
  text: 'early-media-source: any',
  settings: { earlyMediaSource: 'any' },
};
const FOREIGN = 'announced by a proxy or PBX for another host, which may not open pinholes for it';
const LOOPBACK = 'caller and callee are one host on 127.0.0.1, to which nothing is ever opened';
const REPLY =
  'announced by the proxy only, but the way back of a flow whose destination is announced, so its state passes it';

/** Every one of them, and no other: one that no longer occurs fails the test as well. */
export const EXCEPTIONS: readonly Exception[] = [
  ...(
    ['192.168.10.40:49849 > 192.168.10.41:64509', '192.168.10.40:49848 > 192.168.10.41:64508'] as const
  ).map(
    (flow): Exception => ({
      ...{ capture: 'NormB__Asterisk_ZFONE_XLITE.pcap', flow, what: 'partly blocked', reason: 'early-media' },
      why: 'one packet straight from the other phone before the proxy passed on the answer that names that phone',
      remedy: EARLY,
    }),
  ),
  {
    ...{ capture: 'NormB__Asterisk_ZFONE_XLITE.pcap', flow: '192.168.10.41:64509 > 192.168.10.40:49849' },
    ...{ what: 'blocked', reason: 'refused', why: FOREIGN, remedy: mediaHosts('192.168.10.40') },
  },
  {
    ...{ capture: 'NormB__Asterisk_ZFONE_XLITE.pcap', flow: '192.168.10.41:64508 > 192.168.10.40:49848' },
    ...{ what: 'passed', reason: null, why: REPLY, remedy: null },
  },
  ...(['200.57.7.204:8000 > 200.57.7.196:40376', '200.57.7.204:8001 > 200.57.7.196:40377'] as const).map(
    (flow): Exception => ({
      ...{ capture: 'NormB__SIP_CALL_RTP_G711.pcap', flow, what: 'partly blocked', reason: 'refused' },
      ...{ why: `${FOREIGN}; later the way back of the other direction`, remedy: mediaHosts('200.57.7.196') },
    }),
  ),
  {
    ...{ capture: 'NormB__SIP_DTMF2.cap', flow: '192.168.105.172:4376 > 192.168.105.110:4376' },
    ...{ what: 'blocked', reason: 'wrong-source' },
    why: 'comes from 192.168.105.172, which no message names; a pinhole admits announced addresses only',
    remedy: { text: 'media-source: any', settings: { mediaSource: 'any' } },
  },
  ...(
    [
      ['NormB__codec-negotiation.pcap', '127.0.0.1:5094 > 127.0.0.1:5084'],
      ['NormB__codec-negotiation.pcap', '127.0.0.1:5084 > 127.0.0.1:5094'],
      ['NormB__invite-opus-bye.pcap', '127.0.0.1:5094 > 127.0.0.1:5084'],
      ['NormB__invite-opus-bye.pcap', '127.0.0.1:5084 > 127.0.0.1:5094'],
      ['NormB__register-invite-reinvite-bye.pcap', '127.0.0.1:5084 > 127.0.0.1:5094'],
      ['NormB__register-invite-reinvite-bye.pcap', '127.0.0.1:5094 > 127.0.0.1:5084'],
    ] as const
  ).map(
    ([capture, flow]): Exception => ({
      ...{ capture, flow, what: 'blocked', reason: 'same-host', why: LOOPBACK, remedy: null },
    }),
  ),
  {
    ...{ capture: 'NormB__h263-over-rtp.pcap', flow: '192.168.6.199:57128 > 192.168.6.199:32976' },
    ...{ what: 'blocked', reason: 'same-host' },
    why: 'one host calls itself: its SIP is on 127.0.0.1, its media on another of its addresses',
    remedy: null,
  },
  ...(['192.168.1.2:30000 > 212.242.33.36:40392', '192.168.1.2:30001 > 212.242.33.36:40393'] as const).map(
    (flow): Exception => ({
      ...{ capture: 'OISF__sip-method__sip.pcap', flow, what: 'blocked', reason: 'refused', remedy: null },
      why: `${FOREIGN}; and sent more than a second after the call had failed (480)`,
    }),
  ),
  {
    ...{
      capture: 'goffinet__sip-2phones-B2BUA-Asterisk.pcapng',
      flow: '172.16.98.1:8000 > 172.16.98.145:8000',
    },
    ...{ what: 'blocked', reason: 'wrong-source' },
    why: 'the PBX told this phone the new address of the other one before it told the other one of this phone',
    remedy: { text: 'media-source: any', settings: { mediaSource: 'any' } },
  },
  {
    ...{ capture: 'goffinet__voip1b.pcapng', flow: '172.16.98.181:4006 > 172.16.98.182:7078' },
    ...{ what: 'partly blocked', reason: 'wrong-source' },
    why: 'one packet straight from the other phone, of which this one is told by the re-INVITE that follows',
    remedy: { text: 'media-source: any', settings: { mediaSource: 'any' } },
  },
  {
    ...{ capture: 'ntop__FAX-Call-t38-CA-TDM-SIP-FB-1.pcap', flow: '10.35.60.100:15580 > 10.23.1.52:16756' },
    ...{ what: 'partly blocked', reason: 'refused' },
    ...{ why: `${FOREIGN}; later the way back of the other direction`, remedy: mediaHosts('10.23.1.52') },
  },
  ...(['192.168.1.3:30000 > 212.242.33.36:40392', '81.168.1.2:30000 > 212.242.33.36:40392'] as const).map(
    (flow): Exception => ({
      ...{ capture: 'ntop__fuzz-2006-06-26-2594.pcap', flow, what: 'not listed', reason: null },
      why: 'a single packet with damaged addresses that no readable message names; one packet is no proof of RTP',
      remedy: null,
    }),
  ),
];
