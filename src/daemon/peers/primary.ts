import { createClient } from '@redis/client';

/** Where the store is, and what it takes to be let in. */
export interface Whereabouts {
  /**
   * `redis://`, or `rediss://` for TLS, with a user where there is one: servers of one store, of which the first that is its
   * primary is used.
   */
  readonly urls: readonly string[];
  /** They are Sentinels, and this is what they call the primary; null where they are servers of the store. */
  readonly sentinel: string | null;
  readonly password: string | null;
  /** PEM. */
  readonly tls: {
    readonly ca: string | null;
    readonly certificate: string | null;
    readonly key: string | null;
    readonly serverName: string | null;
  };
}

export type Reply = string | number | null | readonly Reply[];

/** One connection. */
export type Client = ReturnType<typeof makeClient>;

/** The primary of a store. */
interface Primary {
  readonly url: string;
  readonly client: Client;
  /** What people should hear of how it is set up. */
  readonly cautions: readonly string[];
}

/** ms. */
const CONNECT_WITHIN = 3000;
export const ANSWER_WITHIN = 5000;
/** Times that one node of a cluster may name another. */
const MOST_HOPS = 4;
/** Of Redis; Valkey gives the version of Redis that it is compatible with. */
const OLDEST = [6, 2] as const;

/**
 * Connects to the primary, whoever that is now: a Sentinel is asked for it, a node of a cluster says which other has the
 * slot of `key`, and a replica is passed over. Rejects with what is wrong with each server that was tried.
 */
export async function connectPrimary(where: Whereabouts, key: string): Promise<Primary> {
  const reasons: string[] = [];
  for (const url of where.urls) {
    try {
      return where.sentinel === null
        ? await primaryFrom(where, url, key)
        : await primaryFrom(where, await primaryBySentinel(where, url, where.sentinel), key);
    } catch (error) {
      reasons.push(where.urls.length === 1 ? reasonOf(error) : `${hostOf(url)}: ${reasonOf(error)}`);
    }
  }
  throw new Error(reasons.join('; '));
}

/** One connection more to a server that is known to be the primary. */
export async function connectAgain(where: Whereabouts, url: string): Promise<Client> {
  return await connected(where, url, where.password);
}

/** One command. Rejects when the answer takes longer than `ms`. */
export function request(client: Client, words: readonly string[], ms = ANSWER_WITHIN): Promise<Reply> {
  return within(client.sendCommand(words) as Promise<Reply>, ms);
}

async function within<T>(answer: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

export function listOf(reply: Reply | undefined): readonly Reply[] {
  return Array.isArray(reply) ? reply : [];
}

/** What went wrong, in words. Where a name has several addresses, why each of them failed is all that there is. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join(', ');
  if (!(error instanceof Error)) return String(error);
  // OpenSSL's own message has numbers and the names of its files.
  return 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message;
}

function makeClient({ tls }: Whereabouts, url: string, password: string | null) {
  const socket = {
    connectTimeout: CONNECT_WITHIN,
    reconnectStrategy: false as const,
    ...(url.startsWith('rediss:') && {
      tls: true as const,
      ...(tls.ca !== null && { ca: tls.ca }),
      ...(tls.certificate !== null && { cert: tls.certificate }),
      ...(tls.key !== null && { key: tls.key }),
      ...(tls.serverName !== null && { servername: tls.serverName }),
    }),
  };
  const client = createClient({
    ...{ url, socket, RESP: 2 as const, disableOfflineQueue: true },
    ...(password !== null && { password }),
  });
  client.on('error', () => {});
  return client;
}

async function connected(where: Whereabouts, url: string, password: string | null): Promise<Client> {
  const client = makeClient(where, url, password);
  try {
    await within(client.connect(), CONNECT_WITHIN);
    return client;
  } catch (error) {
    drop(client);
    const hint = schemeHint(url, reasonOf(error));
    throw hint === null ? error : new Error(`${reasonOf(error)}: ${hint}`);
  }
}

/**
 * Where it may be that one end speaks TLS and the other does not. A store that speaks clear text waits for the end of what it
 * takes for a line; one that speaks TLS closes the connection.
 */
function schemeHint(url: string, reason: string): string | null {
  if (url.startsWith('rediss:')) {
    const isMute = /^no answer|wrong version number|before secure TLS connection/.test(reason);
    return isMute
      ? 'no TLS came about; rediss:// is for a port that speaks TLS, redis:// for clear text'
      : null;
  }
  return /^Socket closed unexpectedly$|ECONNRESET/.test(reason)
    ? 'if this port speaks TLS, peers-store.url is to begin with rediss://'
    : null;
}

export function drop(client: Client): void {
  if (client.isOpen) client.destroy();
}

async function primaryFrom(where: Whereabouts, first: string, key: string): Promise<Primary> {
  let url = first;
  for (let hops = 0; hops < MOST_HOPS; hops++) {
    const client = await connectAgain(where, url);
    try {
      const about = await informationOf(client);
      const next = about.get('cluster_enabled') === '1' ? await holderOf(client, key) : null;
      if (next === null) return { url, client, cautions: judge(about) };
      drop(client);
      url = at(url, ...next);
    } catch (error) {
      drop(client);
      throw error;
    }
  }
  throw new Error(`the nodes of the cluster name each other: none of ${MOST_HOPS} has the slot of the group`);
}

/** What the server says of itself; nothing where this user may not ask. */
async function informationOf(client: Client): Promise<ReadonlyMap<string, string>> {
  try {
    const lines = String(await request(client, ['INFO'])).split('\r\n');
    return new Map(lines.map((line) => [line.split(':', 1)[0]!, line.slice(line.indexOf(':') + 1)]));
  } catch (error) {
    if (/^(?:NOPERM|ERR unknown command)/.test(reasonOf(error))) return new Map();
    throw error;
  }
}

/** Cautions. Throws for what cannot be the primary of a store. */
function judge(about: ReadonlyMap<string, string>): readonly string[] {
  const of = (name: string) => about.get(name) ?? '';
  if (of('redis_mode') === 'sentinel' || of('server_mode') === 'sentinel') {
    throw new Error('this is a Sentinel: peers-store.sentinel is to name the primary that it knows');
  }
  if (of('role') === 'slave') {
    const master = `${of('master_host')}:${of('master_port')}`;
    throw new Error(`this is a replica of ${master}: peers-store.url is to name the primary`);
  }
  const [major = 0, minor = 0] = of('redis_version').split('.').map(Number);
  if (about.has('redis_version') && (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))) {
    throw new Error(`this is version ${of('redis_version')}: ${OLDEST.join('.')} or later is needed`);
  }
  const policy = about.get('maxmemory_policy') ?? 'noeviction';
  if (policy === 'noeviction' || of('maxmemory') === '0') return [];
  return [`the store throws away calls when it is full (maxmemory-policy ${policy}): it is to be noeviction`];
}

/** The host and the port of the node that has the slot of `key`; null where this one has it. */
async function holderOf(client: Client, key: string): Promise<readonly [host: string, port: string] | null> {
  try {
    await request(client, ['EXISTS', key]);
    return null;
  } catch (error) {
    const [word, , where = ''] = reasonOf(error).split(' ');
    const end = where.lastIndexOf(':');
    if (word !== 'MOVED' || end < 0) throw error;
    return [where.slice(0, end), where.slice(end + 1)];
  }
}

/**
 * URL of the primary that a Sentinel knows by this name. A Sentinel may have a password or none, and takes none where it
 * has none: it is told the password of the store once it asks for one.
 */
async function primaryBySentinel(where: Whereabouts, url: string, name: string): Promise<string> {
  try {
    return await askSentinel(where, url, name, null);
  } catch (error) {
    if (where.password === null || !/^(?:NOAUTH|ERR HELLO)/.test(reasonOf(error))) throw error;
    return await askSentinel(where, url, name, where.password);
  }
}

async function askSentinel(
  where: Whereabouts,
  url: string,
  name: string,
  password: string | null,
): Promise<string> {
  const { username } = new URL(url);
  const bare = new URL(url);
  if (password === null) bare.username = '';
  const client = await connected(where, withoutDatabase(bare), password);
  try {
    const [host, port] = listOf(await request(client, ['SENTINEL', 'get-master-addr-by-name', name]));
    if (typeof host !== 'string' || typeof port !== 'string') {
      throw new Error(`this Sentinel knows no primary of the name ${name}`);
    }
    const found = new URL(at(url, host, port));
    found.username = username;
    return found.href;
  } catch (error) {
    if (!reasonOf(error).startsWith('ERR unknown command')) throw error;
    throw new Error('this is no Sentinel, as peers-store.sentinel would have it');
  } finally {
    drop(client);
  }
}

function withoutDatabase(url: URL): string {
  url.pathname = '';
  return url.href;
}

/** The same URL with another host; an empty one is the host that was asked. Throws for what is none. */
function at(url: string, host: string, port: string): string {
  const { protocol, username, hostname, pathname } = new URL(url);
  const name = host === '' ? hostname : host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  const user = username === '' ? '' : `${username}@`;
  const found = `${protocol}//${user}${name}:${port}${pathname}`;
  if (/[/@?#\s]/.test(name) || !/^[0-9]{1,5}$/.test(port) || !URL.canParse(found))
    throw new Error(`${host}:${port} is no address`);
  return found;
}

function hostOf(url: string): string {
  return new URL(url).host;
}
