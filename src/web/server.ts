import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TransportAddress } from '../address/address.ts';
import { formatTransportAddress, isLoopback } from '../config/kinds.ts';
import { keepRoom } from '../control/http-clients.ts';
import { LIVE_POLICY, liveHtml } from '../report/page/html.ts';
import type { CallPicture, LiveSnapshot } from '../report/page/model.ts';
import { type RowSelection, readSelection } from '../report/page/selection.ts';

interface WebOptions {
  /** A loopback address; port 0 takes any that is free. */
  readonly listen: TransportAddress;
  /** The daemon as it is now, with the calls that are selected. */
  readonly snapshot: (selection: RowSelection) => LiveSnapshot | Promise<LiveSnapshot>;
  /** One call with what is known of its media; null when there is no such call, or no longer. */
  readonly call: (legId: string) => CallPicture | null | Promise<CallPicture | null>;
  /** Told what went wrong while a request was answered; the client hears only that something did. */
  readonly failed: (error: unknown) => void;
}

export interface WebServer {
  readonly address: TransportAddress;
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 32;
/** A request has this long to arrive, in ms. */
const REQUEST_TIMEOUT = 5000;
const MAX_HEADER_BYTES = 8192;

/** Sent with every answer: nothing of it may be kept, framed, or read by another origin. */
const HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': LIVE_POLICY,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
} as const;

interface Answer {
  readonly status: number;
  readonly type: 'text/html' | 'text/plain' | 'application/json';
  readonly body: string;
}

/**
 * The live page's HTTP server. It reads only: GET and HEAD of `/`, `/live.json` (with a `Selection`) and
 * `/call.json?legId=LEG`. A request must name this very server in Host, so that a page of another site cannot reach it by pointing a name
 * of its own here (DNS rebinding), and must not come from another site's page. Rejects when it cannot listen.
 */
export async function createWebServer(options: WebOptions): Promise<WebServer> {
  const { listen, failed } = options;
  if (!isLoopback(listen)) {
    throw new RangeError(
      `the live page listens on loopback addresses only, not on ${formatTransportAddress(listen)}`,
    );
  }
  const page = liveHtml();
  let hosts: ReadonlySet<string> = new Set();

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: Answer;
    try {
      answer = refusal(request, hosts) ?? (await answerTo(request, page, options));
    } catch (error) {
      failed(error);
      answer = plain(500, 'The daemon could not answer. Its log says why.');
    }
    const body = Buffer.from(answer.body);
    response.writeHead(answer.status, {
      ...HEADERS,
      'Content-Type': `${answer.type}; charset=utf-8`,
      'Content-Length': body.length,
      ...(answer.status === 405 ? { Allow: 'GET, HEAD' } : {}),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  const server = createServer(
    { maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: REQUEST_TIMEOUT, headersTimeout: REQUEST_TIMEOUT },
    (request, response) => void handle(request, response),
  );
  keepRoom(server, MAX_CONNECTIONS);
  await listening(server, listen);
  const { port } = server.address() as AddressInfo;
  const address = { address: listen.address, port };
  hosts = new Set([formatTransportAddress(address), `localhost:${port}`]);
  return {
    address,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, { address, port }: TransportAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: address, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Null when the request may be answered. */
function refusal({ method, headers }: IncomingMessage, hosts: ReadonlySet<string>): Answer | null {
  if (!hosts.has((headers.host ?? '').toLowerCase())) return plain(421, 'This server has another name.');
  if (method !== 'GET' && method !== 'HEAD') return plain(405, 'This server only shows.');
  const site = headers['sec-fetch-site'];
  const navigates = headers['sec-fetch-mode'] === 'navigate';
  if (site !== undefined && site !== 'same-origin' && site !== 'none' && !navigates) {
    return plain(403, 'Not for the pages of other sites.');
  }
  return null;
}

async function answerTo({ url = '' }: IncomingMessage, page: string, options: WebOptions): Promise<Answer> {
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  if (path === '/') return { status: 200, type: 'text/html', body: page };
  const query = mark < 0 ? '' : url.slice(mark + 1);
  if (path === '/live.json') return json(await options.snapshot(readSelection(query)));
  if (path === '/call.json') {
    const legId = new URLSearchParams(query).get('legId') ?? '';
    const call = /^[0-9a-f]{1,32}$/.test(legId) ? await options.call(legId) : null;
    return call === null ? plain(404, 'No such call, or no longer.') : json(call);
  }
  return plain(404, 'Nothing here.');
}

function json(value: unknown): Answer {
  return { status: 200, type: 'application/json', body: JSON.stringify(value) };
}

function plain(status: number, body: string): Answer {
  return { status, type: 'text/plain', body: `${body}\n` };
}
