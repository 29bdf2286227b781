import { createHmac } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { type Endpoint, socketOf } from './endpoint.ts';

/** RFC 8489, 5 and 14; RFC 8445, 7.1. */
const MAGIC = 0x2112a442;
const REQUEST = 0x0001;
const SUCCESS = 0x0101;
const USERNAME = 0x0006;
const MESSAGE_INTEGRITY = 0x0008;
const XOR_MAPPED_ADDRESS = 0x0020;
const PRIORITY = 0x0024;
const USE_CANDIDATE = 0x0025;
const FINGERPRINT = 0x8028;
const ICE_CONTROLLED = 0x8029;
const ICE_CONTROLLING = 0x802a;

function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  bytes.writeUInt16BE(type, 0);
  bytes.writeUInt16BE(value.length, 2);
  value.copy(bytes, 4);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** A message with its MESSAGE-INTEGRITY under `password` and its FINGERPRINT. */
function message(type: number, transaction: Buffer, attributes: readonly Buffer[], password: string): Buffer {
  const head = Buffer.concat([Buffer.alloc(4), uint32(MAGIC), transaction]);
  head.writeUInt16BE(type, 0);
  let bytes = Buffer.concat([head, ...attributes]);
  bytes.writeUInt16BE(bytes.length - 20 + 24, 2);
  const hmac = createHmac('sha1', password).update(bytes).digest();
  bytes = Buffer.concat([bytes, attribute(MESSAGE_INTEGRITY, hmac)]);
  bytes.writeUInt16BE(bytes.length - 20 + 8, 2);
  return Buffer.concat([bytes, attribute(FINGERPRINT, uint32(crc32(bytes) ^ 0x5354554e))]);
}

function xorMapped(address: string, port: number): Buffer {
  const value = Buffer.from([0, 1, 0, 0, ...address.split('.').map(Number)]);
  value.writeUInt16BE(port ^ (MAGIC >>> 16), 2);
  value.writeUInt32BE((value.readUInt32BE(4) ^ MAGIC) >>> 0, 4);
  return value;
}

/** Answers every STUN binding request that reaches `at` (IPv4) as an ICE agent whose password is `password`. */
export async function answerChecks(at: Endpoint, password: string): Promise<void> {
  const socket = await socketOf(at);
  socket.on('message', (bytes, peer) => {
    if (bytes.length < 20 || bytes.readUInt16BE(0) !== REQUEST || bytes.readUInt32BE(4) !== MAGIC) return;
    const mapped = attribute(XOR_MAPPED_ADDRESS, xorMapped(peer.address, peer.port));
    socket.send(message(SUCCESS, bytes.subarray(8, 20), [mapped], password), peer.port, peer.address);
  });
}

let checks = 0;

/**
 * Sends one connectivity check. `username` is the peer's fragment, a colon and our own; `password` is the peer's;
 * a controlling agent nominates the pair at once.
 */
export async function sendCheck(
  from: Endpoint,
  to: Endpoint,
  username: string,
  password: string,
  controlling: boolean,
): Promise<void> {
  const transaction = Buffer.alloc(12, from.address);
  transaction.writeUInt32BE(++checks, 8);
  const tieBreaker = Buffer.alloc(8, controlling ? 0x5a : 0xa5);
  const attributes = [
    attribute(USERNAME, Buffer.from(username)),
    attribute(PRIORITY, uint32(110 * 2 ** 24 + 65535 * 2 ** 8 + 255)),
    attribute(controlling ? ICE_CONTROLLING : ICE_CONTROLLED, tieBreaker),
    ...(controlling ? [attribute(USE_CANDIDATE, Buffer.alloc(0))] : []),
  ];
  (await socketOf(from)).send(message(REQUEST, transaction, attributes, password), to.port, to.address);
}
