/** Calls for sipp(1): what each side sends and waits for, as the XML that sipp reads. */

/** A kind of call. Steps are XML elements of a sipp scenario. */
export interface Scenario {
  readonly name: string;
  readonly caller: readonly string[];
  readonly callee: readonly string[];
}

/** A capture with so many ms of RTP, for sipp's `play_pcap_audio`. */
export type Recording = (ms: number) => string;

type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

interface SdpOptions {
  readonly version?: number;
  readonly direction?: Direction;
  /** Media is on another port than at first. */
  readonly moved?: boolean;
}

function sdp({ version = 1, direction = 'sendrecv', moved = false }: SdpOptions = {}): string {
  return [
    'v=0',
    `o=demo 1 ${version} IN IP[local_ip_type] [local_ip]`,
    's=-',
    'c=IN IP[media_ip_type] [media_ip]',
    't=0 0',
    `m=audio [auto_media_port${moved ? '+2' : ''}] RTP/AVP 8`,
    'a=rtpmap:8 PCMA/8000',
    `a=${direction}`,
    '',
  ].join('\n');
}

/** `play`: the capture that is played from the port of the message's own SDP, right after it was sent. */
interface SendOptions {
  readonly body?: string;
  readonly play?: string;
  readonly attributes?: string;
}

function send(lines: readonly string[], { body = '', play, attributes = '' }: SendOptions): string {
  const type = body === '' ? [] : ['Content-Type: application/sdp'];
  const text = [...lines, ...type, 'Content-Length: [len]', '', body].join('\n');
  const action = play === undefined ? '' : `<action><exec play_pcap_audio="${play}"/></action>`;
  return `<send${attributes}><![CDATA[\n${text}\n]]>${action}</send>`;
}

interface RequestOptions {
  readonly body?: string;
  readonly play?: string;
  /** A CANCEL, and the ACK of a refusal, have the branch of the INVITE (RFC 3261 9.1, 17.1.1.3). */
  readonly sameBranch?: boolean;
}

function request(method: string, cseq: number, options: RequestOptions = {}): string {
  const { sameBranch = false, ...rest } = options;
  const lines = [
    `${method} sip:demo@[remote_ip]:[remote_port] SIP/2.0`,
    sameBranch ? '[last_Via:]' : 'Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]',
    'From: <sip:caller@[local_ip]:[local_port]>;tag=[pid]a[call_number]',
    'To: <sip:demo@[remote_ip]:[remote_port]>[peer_tag_param]',
    'Call-ID: [call_id]',
    `CSeq: ${cseq} ${method}`,
    'Contact: <sip:caller@[local_ip]:[local_port];transport=[transport]>',
    'Max-Forwards: 70',
  ];
  return send(lines, { ...rest, attributes: method === 'ACK' ? '' : ' retrans="500"' });
}

interface ReplyOptions {
  readonly body?: string;
  readonly play?: string;
  /** The To has its tag already: the request was one inside the dialog. */
  readonly inDialog?: boolean;
  /** In place of that of the request received last: an INVITE is answered after its CANCEL. */
  readonly cseq?: string;
}

function reply(status: string, { inDialog = false, cseq, ...rest }: ReplyOptions = {}): string {
  const lines = [
    `SIP/2.0 ${status}`,
    '[last_Via:]',
    '[last_From:]',
    `[last_To:]${inDialog ? '' : ';tag=[pid]b[call_number]'}`,
    '[last_Call-ID:]',
    cseq === undefined ? '[last_CSeq:]' : `CSeq: ${cseq}`,
    'Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>',
  ];
  const again = status.startsWith('200') && rest.body !== undefined;
  return send(lines, { ...rest, attributes: again ? ' retrans="500"' : '' });
}

const on = (method: string) => `<recv request="${method}"/>`;
const get = (status: number) => `<recv response="${status}"/>`;
const pause = (ms: number) => `<pause milliseconds="${ms}"/>`;
const playing = (play: string) => `<nop><action><exec play_pcap_audio="${play}"/></action></nop>`;

/** The kinds of calls of the demo: media starts with the message that allows it. */
export function scenarios(recording: Recording): readonly Scenario[] {
  const bye = [request('BYE', 9), get(200)];
  const onBye = [on('BYE'), reply('200 OK', { inDialog: true })];
  const invite = request('INVITE', 1, { body: sdp() });
  const answered = (ms: number) => [get(180), get(200), request('ACK', 1, { play: recording(ms) })];
  const answer = (ms: number) => [
    ...[on('INVITE'), reply('180 Ringing'), pause(700)],
    ...[reply('200 OK', { body: sdp(), play: recording(ms) }), on('ACK')],
  ];
  const progress = (ms: number) => reply('183 Session Progress', { body: sdp(), play: recording(ms) });
  const accept = (options: SdpOptions, ms?: number) =>
    reply('200 OK', {
      body: sdp({ ...options, version: 2 }),
      inDialog: true,
      ...(ms !== undefined && { play: recording(ms) }),
    });

  return [
    {
      name: 'plain',
      caller: [invite, ...answered(5000), pause(5200), ...bye],
      callee: [...answer(5000), ...onBye],
    },
    {
      name: 'early media',
      caller: [
        ...[invite, get(183), playing(recording(6000)), get(200), request('ACK', 1), pause(3700), ...bye],
      ],
      callee: [
        ...[on('INVITE'), progress(6000), pause(2500), reply('200 OK', { body: sdp() }), on('ACK'), ...onBye],
      ],
    },
    {
      name: 'moves port',
      caller: [
        ...[invite, ...answered(2500), pause(2600), request('INVITE', 2, { body: sdp({ moved: true }) })],
        ...[get(200), request('ACK', 2, { play: recording(3000) }), pause(3200), ...bye],
      ],
      callee: [...answer(2500), on('INVITE'), accept({}, 3000), on('ACK'), ...onBye],
    },
    {
      name: 'hold, resume',
      caller: [
        ...[invite, ...answered(2000), pause(2200)],
        ...[request('INVITE', 2, { body: sdp({ direction: 'inactive' }) }), get(200), request('ACK', 2)],
        ...[pause(2500), request('INVITE', 3, { body: sdp() }), get(200)],
        ...[request('ACK', 3, { play: recording(2000) }), pause(2200), ...bye],
      ],
      callee: [
        ...[...answer(2000), on('INVITE'), accept({ direction: 'inactive' }), on('ACK')],
        ...[on('INVITE'), accept({}, 2000), on('ACK'), ...onBye],
      ],
    },
    {
      name: 'cancelled',
      caller: [
        ...[invite, get(183), pause(2500), request('CANCEL', 1, { sameBranch: true }), get(200), get(487)],
        request('ACK', 1, { sameBranch: true }),
      ],
      callee: [
        ...[on('INVITE'), progress(2000), on('CANCEL'), reply('200 OK', { inDialog: false })],
        ...[reply('487 Request Terminated', { cseq: '1 INVITE' }), on('ACK')],
      ],
    },
  ];
}

/** One side of a call as sipp's scenario file. */
export function xml(name: string, steps: readonly string[]): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="${name}">\n${steps.join('\n')}\n</scenario>\n`;
}
