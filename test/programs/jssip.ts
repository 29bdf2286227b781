/**
 * JsSIP, as it comes from npm, as a phone under Node: SIP over WebSocket over TLS is its own; the browser's part, which has the
 * media, is played here with one UDP socket. `node jssip.ts <own address> <proxy> <who to call>`; a line on standard input hangs up.
 */
import { createSocket } from 'node:dgram';
import { createRequire } from 'node:module';

interface Description {
  readonly type: string;
  readonly sdp: string;
}

interface Session {
  on(event: string, listener: (event: { readonly cause?: string }) => void): void;
  terminate(): void;
}

interface UserAgent {
  on(event: string, listener: (event: { readonly code?: number; readonly reason?: string }) => void): void;
  start(): void;
  call(target: string, options: object): Session;
}

interface JsSip {
  readonly UA: new (configuration: object) => UserAgent;
  readonly WebSocketInterface: new (url: string) => object;
}

const [address = '', proxy = '', callee = ''] = process.argv.slice(2);
const MEDIA_PORT = 16_000;
const PACKET_MS = 20;
const say = (text: string) => console.log(text);

const socket = createSocket('udp4');
let heard = 0;
socket.on('message', () => {
  heard++;
  if (heard % 50 === 0) say(`heard ${heard}`);
});
let talking: NodeJS.Timeout | null = null;

/** PCMA silence, as RFC 3551 and 3550 have it, to where the answer says. */
function talkTo(sdp: string): void {
  const to = /^c=IN IP4 (\S+)/m.exec(sdp)?.[1] ?? '';
  const port = Number(/^m=audio (\d+)/m.exec(sdp)?.[1]);
  const packet = Buffer.alloc(172, 0xd5);
  packet.writeUInt32BE(0x8008_0000, 0);
  packet.writeUInt32BE(0x4a53_5350, 8);
  let sequence = 0;
  const speak = () => {
    packet.writeUInt16BE(sequence & 0xffff, 2);
    packet.writeUInt32BE(sequence * 160, 4);
    sequence++;
    socket.send(packet, port, to);
  };
  speak();
  talking ??= setInterval(speak, PACKET_MS);
}

/** What JsSIP asks of a browser's RTCPeerConnection. */
function createPeerConnection() {
  const lines = ['v=0', `o=- 1 1 IN IP4 ${address}`, 's=-', `c=IN IP4 ${address}`, 't=0 0'];
  const sdp = `${[...lines, `m=audio ${MEDIA_PORT} RTP/AVP 8`, 'a=sendrecv', 'a=rtcp-mux'].join('\r\n')}\r\n`;
  return {
    ...{ iceGatheringState: 'complete', iceConnectionState: 'connected', signalingState: 'stable' },
    localDescription: null as Description | null,
    addEventListener() {},
    getSenders: () => [],
    createOffer: async () => ({ type: 'offer', sdp }),
    async setLocalDescription(this: { localDescription: Description | null }, description: Description) {
      this.localDescription = description;
    },
    setRemoteDescription: async (description: Description) => talkTo(description.sdp),
    close() {
      if (talking !== null) clearInterval(talking);
    },
  };
}

Object.assign(globalThis, {
  window: globalThis,
  RTCPeerConnection: function RTCPeerConnection() {
    return createPeerConnection();
  },
  RTCSessionDescription: function RTCSessionDescription(description: Description) {
    return description;
  },
});

const { UA, WebSocketInterface } = createRequire(import.meta.url)('jssip') as JsSip;
const agent = new UA({
  sockets: [new WebSocketInterface(`wss://${proxy}`)],
  uri: `sip:web@${address}`,
  register: false,
});
agent.on('disconnected', ({ code, reason }) => say(`disconnected ${code} ${reason}`));
agent.on('connected', () => {
  say('connected');
  const session = agent.call(callee, { mediaStream: { getTracks: () => [] } });
  session.on('confirmed', () => say('confirmed'));
  session.on('ended', () => say('ended'));
  session.on('failed', ({ cause }) => say(`failed ${cause}`));
  process.stdin.once('data', () => session.terminate());
});
socket.bind(MEDIA_PORT, address, () => agent.start());
