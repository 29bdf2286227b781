/**
 * What a host of the little network does beside its SIP: it reads one order a line from a FIFO and sends what is ordered.
 * A sipp scenario writes the orders with `<exec command="echo ... > pbx"/>`, so media starts where the call says so.
 *
 *   rtp FROM TO PACKETS [PAYLOAD-TYPE [HERTZ]]    RTP, one packet each 20 ms
 *   rtcp FROM TO ABOUT [PAYLOAD-TYPE]             one sender report about the RTP that left ABOUT
 *   spray FROM TO PORTS                           one RTP packet to each of that many ports, from TO's on
 *   fax FROM TO sender|receiver                   one page over UDPTL
 *   agent AT PASSWORD                             answers ICE connectivity checks
 *   check FROM TO USERNAME PASSWORD ROLE          one connectivity check, ROLE controlling or controlled
 *   after MILLISECONDS ORDER                      the order, later
 *
 * Usage: host.ts FIFO
 */
import { createReadStream, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseEndpoint } from './endpoint.ts';
import { sendRtcp, sendRtp } from './rtp.ts';
import { answerChecks, sendCheck } from './stun.ts';
import { sendFax } from './udptl.ts';

async function obey(order: string): Promise<void> {
  const [verb, first = '', second = '', third = '', fourth = '', fifth = ''] = order.trim().split(/\s+/);
  if (verb === 'after') {
    await new Promise((resolve) => setTimeout(resolve, Number(first)));
    return obey(order.trim().replace(/^after\s+\S+\s+/, ''));
  }
  const from = parseEndpoint(first);
  if (verb === 'agent') return answerChecks(from, second);
  const to = parseEndpoint(second);
  switch (verb) {
    case 'rtp':
      return sendRtp(from, to, Number(third), Number(fourth || 0), Number(fifth || 440));
    case 'rtcp':
      return sendRtcp(from, to, parseEndpoint(third), Number(fourth || 0));
    case 'spray':
      for (let n = 0; n < Number(third); n++) await sendRtp(from, { ...to, port: to.port + n }, 1);
      return;
    case 'fax':
      return sendFax(from, to, third === 'sender' ? 'sender' : 'receiver');
    case 'check':
      return sendCheck(from, to, third, fourth, fifth === 'controlling');
    default:
      throw new Error('no such order');
  }
}

const fifo = process.argv[2];
if (fifo === undefined) throw new Error('usage: host.ts FIFO');
// A FIFO opened for reading and writing never reports the end of the file when a writer leaves.
const orders = createInterface({ input: createReadStream(fifo, { flags: 'r+' }) });
orders.on('line', (order) => {
  obey(order).catch((error: unknown) => {
    console.error(`${order}: ${String(error)}`);
    process.exit(1);
  });
});
writeFileSync(`${fifo}.ready`, '');
