import { createServer } from 'node:http';
import type { TransportAddress } from '../address/address.ts';
import { formatTransportAddress } from '../config/kinds.ts';
import { StartError } from '../daemon/platform/platform.ts';
import { keepRoom, namesThisMachine } from './http-clients.ts';
import { CONTENT_TYPES, type MetricsFormat } from './metrics.ts';

interface MetricsServer {
  /** Where it listens: the port is the one that was given, or any where that was 0. */
  readonly port: number;
  close(): void;
}

const PATH = '/metrics';
const MAX_CONNECTIONS = 16;
const LONGEST_ACCEPT = 1000;
/** ms within which a request must have been sent. */
const REQUEST_WITHIN = 5000;
/** ms in which one answer serves for all who ask. */
const FRESH = 1000;

/**
 * Serves the metrics over HTTP at `/metrics`, and nothing else, to who calls this machine by its address, by its own
 * name or by one of `names`. Throws StartError when the address is not to be had.
 */
export async function openMetricsServer(
  { address, port }: TransportAddress,
  text: (format: MetricsFormat) => Promise<string>,
  names: () => readonly string[] = () => [],
): Promise<MetricsServer> {
  const server = createServer({ requestTimeout: REQUEST_WITHIN, headersTimeout: REQUEST_WITHIN });
  keepRoom(server, MAX_CONNECTIONS);
  const kept = new Map<MetricsFormat, Promise<string>>();

  function current(format: MetricsFormat): Promise<string> {
    const known = kept.get(format);
    if (known !== undefined) return known;
    const made = text(format);
    kept.set(format, made);
    setTimeout(() => kept.delete(format), FRESH).unref();
    return made;
  }

  server.on('request', async (request, response) => {
    const { method, url = '' } = request;
    const format = formatFor(request.headers.accept);
    const answer = (status: number, body: string) => {
      response.writeHead(status, {
        'content-type': status === 200 ? CONTENT_TYPES[format] : 'text/plain; charset=utf-8',
        'content-length': Buffer.byteLength(body),
        'x-content-type-options': 'nosniff',
        vary: 'accept',
      });
      response.end(method === 'HEAD' ? undefined : body);
    };
    if (!namesThisMachine(request.headers.host, names())) {
      return answer(
        421,
        'this machine has another name: ask for its address, or put the name into metrics-hosts\n',
      );
    }
    if (method !== 'GET' && method !== 'HEAD') return answer(405, 'expected GET\n');
    if (url.split('?', 1)[0] !== PATH) return answer(404, `the metrics are at ${PATH}\n`);
    try {
      answer(200, await current(format));
    } catch {
      answer(503, 'the data path did not answer in time\n');
    }
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const where = formatTransportAddress({ address, port });
      reject(new StartError(`metrics: ${where}: ${error.message}`, error.code));
    });
    server.listen({ host: address, port }, resolve);
  });
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : port,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** OpenMetrics for who asks for it, as Prometheus does where it wants exemplars (RFC 9110 12.5.1); else the older format. */
export function formatFor(accept = ''): MetricsFormat {
  for (const range of accept.slice(0, LONGEST_ACCEPT).split(',')) {
    const [type = '', ...parameters] = range.split(';').map((one) => one.trim().toLowerCase());
    const isRefused = parameters.some((one) => /^q=0(\.0{0,3})?$/.test(one));
    if (type === 'application/openmetrics-text' && !isRefused) return 'openmetrics';
  }
  return 'prometheus';
}

/** The metrics over HTTP where the settings say, or nowhere. */
interface Metrics {
  /** Goes where the settings say now. Where that cannot be had it stays where it is. */
  reload(listen: TransportAddress | null): void;
  close(): void;
}

/** Binds the address; null is none. Throws StartError. `complain` is told of a later one that is not to be had. */
export async function openMetrics(
  listen: TransportAddress | null,
  text: (format: MetricsFormat) => Promise<string>,
  complain: (text: string) => void,
  names: () => readonly string[] = () => [],
): Promise<Metrics> {
  const open = async (at: TransportAddress | null) =>
    at === null ? null : await openMetricsServer(at, text, names);
  let server = await open(listen);
  let current = listen;
  let closed = false;
  let reloaded = Promise.resolve();

  async function goTo(next: TransportAddress | null): Promise<void> {
    if (closed || written(next) === written(current)) return;
    try {
      const opened = await open(next);
      server?.close();
      server = opened;
      current = next;
    } catch (error) {
      complain(`${(error as Error).message}; metrics stay ${written(current)}`);
    }
    if (closed) server?.close();
  }

  return {
    reload(next) {
      reloaded = reloaded.then(() => goTo(next));
    },
    close() {
      closed = true;
      server?.close();
    },
  };
}

function written(listen: TransportAddress | null): string {
  return listen === null ? 'off' : `at ${formatTransportAddress(listen)}`;
}
