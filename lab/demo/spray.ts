/** The stranger: reads `ADDRESS PORT` lines, `+` opens and `-` closes a target, and sends to all of them. */
import { createSocket } from 'node:dgram';
import { createInterface } from 'node:readline';

/** ms between two rounds. */
const ROUND = 50;

const targets = new Map<string, { readonly address: string; readonly port: number }>();
const socket = createSocket('udp4');
const packet = Buffer.alloc(172, 0xd5);
packet.set([0x80, 0x08]);
let sent = 0;

socket.bind(() => {
  const timer = setInterval(() => {
    for (const { address, port } of targets.values()) {
      socket.send(packet, port, address);
      sent++;
    }
  }, ROUND);
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const [sign, address = '', port = ''] = line.split(' ');
      const key = `${address} ${port}`;
      if (sign === '+') targets.set(key, { address, port: Number(port) });
      else targets.delete(key);
    })
    .on('close', () => {
      clearInterval(timer);
      socket.close(() => process.stdout.write(`${sent}\n`));
    });
});
