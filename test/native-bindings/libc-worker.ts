import { parentPort } from 'node:worker_threads';
import { loadLibc } from '../../native-bindings/engine.ts';

const libc = await loadLibc();
const fd = libc.check('socket', libc.socket(2, 2, 0));
const address = Buffer.alloc(16);
if (libc.platform.system === 'freebsd') address.set([16, 2]);
else address.writeUInt16LE(2);
address.set([127, 0, 0, 1], 4);
libc.check('bind', libc.bind(fd, address, 16));
libc.check('getsockname', libc.getsockname(fd, address, Buffer.from([16, 0, 0, 0])));
parentPort?.postMessage(address.readUInt16BE(2));

const received = Buffer.alloc(64);
const length = libc.check('recv', libc.recv(fd, received, received.length, 0));
libc.close(fd);
parentPort?.postMessage(`${received.toString('latin1', 0, length)} by ${libc.engine}`);
