import { createClient } from '@redis/client';
import { isMachine, isOver, stampOf } from './stamp.ts';
import type { Member, News, Store, Stored, Told, Version } from './store.ts';

/** Where the store is, and what it takes to be let in. */
export interface RedisOptions {
  /** `redis://`, or `rediss://` for TLS, with a user where there is one. */
  readonly url: string;
  readonly password: string | null;
  /** PEM. */
  readonly tls: {
    readonly ca: string | null;
    readonly certificate: string | null;
    readonly key: string | null;
    readonly serverName: string | null;
  };
  /** All keys of one group begin with this; braces keep them in one slot of a cluster. */
  readonly prefix: string;
}

/** ms that a call stays without anybody who says that it is still his, and one that is over. */
const KEPT = 10 * 60_000;
const ENDED_KEPT = 5 * 60_000;
/** ms that a firewall counts as there since its last greeting. */
const PRESENT = 6_000;
/** About so many news are kept for those who come back. */
const NEWS_KEPT = 100_000;
const NEWS_AT_A_TIME = 512;
const NAMES_AT_A_TIME = 200;
const BLOCK = 1000;
const CONNECT_WITHIN = 3000;
const ANSWER_WITHIN = 5000;
/** Bytes of one record that are believed to be one. */
const LARGEST = 1024 * 1024;

/**
 * Writes one version, with the time by the store, if it is later than the one there, as `compareStamps` has it: KEYS call,
 * names, news; ARGV name, generation, phase, version, machine, text, ms to keep, wait, news to keep.
 */
const WRITE = `
local there = redis.call('HMGET', KEYS[1], 'g', 'e', 'v', 'm')
if there[1] then
  local mine = {tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])}
  local order = 0
  for i = 1, 3 do
    if order == 0 then
      local other = tonumber(there[i]) or 0
      if mine[i] > other then order = 1 elseif mine[i] < other then order = -1 end
    end
  end
  if order == 0 and ARGV[5] > there[4] then order = 1 end
  if order <= 0 then return 0 end
end
local time = redis.call('TIME')
local now = time[1] .. string.format('%03d', math.floor(tonumber(time[2]) / 1000))
redis.call('HSET', KEYS[1], 'g', ARGV[2], 'e', ARGV[3], 'v', ARGV[4], 'm', ARGV[5], 't', ARGV[6], 'a', now)
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[9], '*', 'k', 'w', 'n', ARGV[1], 'g', ARGV[2], 'e', ARGV[3],
  'v', ARGV[4], 'm', ARGV[5], 'w', ARGV[8])
return 1
`;

type Reply = string | number | null | readonly Reply[];

/** A store of Valkey or Redis (6.2 or later) by RESP2. Two connections: one waits for news. */
export function createRedisStore({ url, password, tls, prefix }: RedisOptions): Store {
  const isTls = url.startsWith('rediss:');
  const socket = {
    connectTimeout: CONNECT_WITHIN,
    reconnectStrategy: false as const,
    ...(isTls && {
      tls: true as const,
      ...(tls.ca !== null && { ca: tls.ca }),
      ...(tls.certificate !== null && { cert: tls.certificate }),
      ...(tls.key !== null && { key: tls.key }),
      ...(tls.serverName !== null && { servername: tls.serverName }),
    }),
  };
  const make = () => {
    const client = createClient({
      ...{ url, socket, RESP: 2 as const, disableOfflineQueue: true },
      ...(password !== null && { password }),
    });
    client.on('error', () => {});
    return client;
  };
  let writer = make();
  let reader = make();
  const key = (name: string) => `${prefix}${name}`;
  const callKey = (name: string) => key(`call:${name}`);

  async function within<T>(answer: Promise<T>, ms = ANSWER_WITHIN): Promise<T> {
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

  function ask(...words: readonly string[]): Promise<Reply> {
    return within(writer.sendCommand(words) as Promise<Reply>);
  }

  /** The versions of those that are there; the names of the others are no names any more. */
  async function versionsOf(names: readonly string[]): Promise<Version[]> {
    const replies = await Promise.all(names.map((name) => ask('HMGET', callKey(name), 'g', 'e', 'v', 'm')));
    const gone: string[] = [];
    const found = replies.flatMap((reply, at): Version[] => {
      const [generation, phase, version, machine] = listOf(reply);
      if (generation === null) gone.push(names[at]!);
      const stamp = stampOf(generation, phase, version, machine);
      return stamp === null ? [] : [{ name: names[at]!, stamp }];
    });
    if (gone.length > 0) await ask('SREM', key('names'), ...gone);
    return found;
  }

  return {
    async connect() {
      for (const client of [writer, reader]) if (client.isOpen) client.destroy();
      writer = make();
      reader = make();
      await within(writer.connect(), CONNECT_WITHIN);
      await within(reader.connect(), CONNECT_WITHIN);
    },
    async epoch() {
      await ask('SET', key('epoch'), crypto.randomUUID(), 'NX');
      return String(await ask('GET', key('epoch')));
    },
    async lastNews() {
      const [last] = newsOf(await ask('XREVRANGE', key('news'), '+', '-', 'COUNT', '1'), idOf);
      return last ?? '0-0';
    },
    async hasNewsAfter(id) {
      const [last] = newsOf(await ask('XREVRANGE', key('news'), id, id, 'COUNT', '1'), idOf);
      return last === id;
    },
    async *versions() {
      let cursor = '0';
      do {
        const reply = await ask('SSCAN', key('names'), cursor, 'COUNT', String(NAMES_AT_A_TIME));
        const [next, names] = listOf(reply);
        cursor = String(next);
        yield await versionsOf(listOf(names).filter(isName));
      } while (cursor !== '0');
    },
    async read(names) {
      const [time, ...replies] = await Promise.all([
        ask('TIME'),
        ...names.map((name) => ask('HMGET', callKey(name), 'g', 'e', 'v', 'm', 't', 'a')),
      ]);
      const [seconds, micros] = listOf(time).map(Number);
      const now = seconds! * 1000 + micros! / 1000;
      return replies.flatMap((reply, at): Stored[] => {
        const [generation, phase, version, machine, text, writtenAt] = listOf(reply);
        const stamp = stampOf(generation, phase, version, machine);
        if (stamp === null || typeof text !== 'string' || text.length > LARGEST) return [];
        return [{ name: names[at]!, stamp, text, age: ageOf(now, Number(writtenAt)) }];
      });
    },
    async write(records) {
      await Promise.all(
        records.map(({ name, stamp, text, wait }) => {
          const { generation, phase, version, machine } = stamp;
          const keys = [callKey(name), key('names'), key('news')];
          const numbers = [generation, phase, version].map(String);
          const kept = String(isOver(stamp) ? ENDED_KEPT : KEPT);
          return ask(
            'EVAL',
            WRITE,
            '3',
            ...keys,
            name,
            ...numbers,
            machine,
            text,
            kept,
            wait,
            String(NEWS_KEPT),
          );
        }),
      );
    },
    async tell(news) {
      await ask('XADD', key('news'), 'MAXLEN', '~', String(NEWS_KEPT), '*', ...written(news));
    },
    async follow(id) {
      const words = [
        'XREAD',
        'COUNT',
        String(NEWS_AT_A_TIME),
        'BLOCK',
        String(BLOCK),
        'STREAMS',
        key('news'),
        id,
      ];
      const reply = (await within(reader.sendCommand(words), BLOCK + ANSWER_WITHIN)) as Reply;
      if (reply === null) return [];
      const [, entries] = listOf(listOf(reply)[0] ?? null);
      return newsOf(entries ?? null, readNews);
    },
    async greet(self) {
      const about = JSON.stringify({ name: self.name, records: self.records });
      await ask('SET', key(`member:${self.machine}`), about, 'PX', String(PRESENT));
      await ask('SADD', key('members'), self.machine);
      const machines = listOf(await ask('SMEMBERS', key('members'))).filter(isMachine);
      const found = await Promise.all(
        machines.map(async (machine) => {
          const text = await ask('GET', key(`member:${machine}`));
          return typeof text === 'string' ? memberOf(machine, text) : null;
        }),
      );
      return found.filter((one) => one !== null);
    },
    async leave(self) {
      await ask('DEL', key(`member:${self.machine}`));
      await ask('SREM', key('members'), self.machine);
    },
    async touch(names) {
      await Promise.all(names.map((name) => ask('PEXPIRE', callKey(name), String(KEPT))));
    },
    close() {
      for (const client of [writer, reader]) if (client.isOpen) client.destroy();
    },
  };
}

function listOf(reply: Reply | undefined): readonly Reply[] {
  return Array.isArray(reply) ? reply : [];
}

function isName(value: Reply): value is string {
  return typeof value === 'string' && /^[0-9a-ft][0-9a-f]{15}$/.test(value);
}

/** ms; a record that does not say when it was written is taken for new. */
function ageOf(now: number, writtenAt: number): number {
  return writtenAt > 0 && now > writtenAt ? now - writtenAt : 0;
}

function newsOf<T>(reply: Reply, read: (id: string, fields: ReadonlyMap<string, string>) => T | null): T[] {
  return listOf(reply).flatMap((entry) => {
    const [id, words] = listOf(entry);
    if (typeof id !== 'string') return [];
    const list = listOf(words).map(String);
    const fields = new Map<string, string>();
    for (let at = 0; at + 1 < list.length; at += 2) fields.set(list[at]!, list[at + 1]!);
    const value = read(id, fields);
    return value === null ? [] : [value];
  });
}

function idOf(id: string): string {
  return id;
}

const LETTERS = { written: 'w', confirmed: 'c', media: 'm', asked: 'a' } as const;

function written(news: Told): readonly string[] {
  const rest = news.what === 'media' ? ['i', news.pinholes.join('\n')] : ['w', news.wait];
  return ['k', LETTERS[news.what], 'm', news.machine, ...rest];
}

/** Null for what is of no kind that is known here: what a later version says. */
function readNews(id: string, fields: ReadonlyMap<string, string>): News | null {
  const machine = fields.get('m');
  const wait = fields.get('w') ?? '';
  if (!isMachine(machine)) return null;
  switch (fields.get('k')) {
    case LETTERS.written: {
      const name = fields.get('n') ?? '';
      const stamp = stampOf(fields.get('g'), fields.get('e'), fields.get('v'), machine);
      return stamp === null || !isName(name) ? null : { what: 'written', id, name, stamp, wait };
    }
    case LETTERS.confirmed:
      return { what: 'confirmed', id, machine, wait };
    case LETTERS.asked:
      return { what: 'asked', id, machine, wait };
    case LETTERS.media:
      return { what: 'media', id, machine, pinholes: (fields.get('i') ?? '').split('\n') };
    default:
      return null;
  }
}

function memberOf(machine: string, text: string): Member | null {
  try {
    const { name, records } = JSON.parse(text) as { readonly name: unknown; readonly records: unknown };
    if (typeof name !== 'string' || typeof records !== 'number') return null;
    return { machine, name: name.slice(0, 32), records };
  } catch {
    return null;
  }
}
