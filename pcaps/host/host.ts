/**
 * What a host of the little network does beside its SIP: it reads one order a line from a FIFO and sends what is ordered.
 * A sipp scenario writes the orders with `<exec command="echo ... &gt; pbx"/>`, so media starts where the call says so.
 *
 *   rtp FROM TO PACKETS [PAYLOAD-TYPE [HERTZ]]    RTP, one packet each 20 ms
 *   rtcp FROM TO ABOUT                            one sender report about the RTP that left ABOUT
 *   after MILLISECONDS ORDER                      the order, later
 *
 * Usage: host.ts FIFO
 */
import { createReadStream, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseEndpoint } from './endpoint.ts';
import { sendRtcp, sendRtp } from './rtp.ts';

async function obey(order: string): Promise<void> {
  const later = /^after (\d+) (.*)$/.exec(order);
  if (later !== null) {
    await new Promise((resolve) => setTimeout(resolve, Number(later[1])));
    return obey(later[2] ?? '');
  }
  const [verb, from = '', to = '', ...rest] = order.trim().split(/\s+/);
  const [source, target] = [parseEndpoint(from), parseEndpoint(to)];
  switch (verb) {
    case 'rtp':
      return sendRtp(source, target, Number(rest[0]), Number(rest[1] ?? 0), Number(rest[2] ?? 440));
    case 'rtcp':
      return sendRtcp(source, target, parseEndpoint(rest[0] ?? ''));
    default:
      throw new Error(`${order}: no such order`);
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
