import {
  ANSWER_WITHIN,
  type Client,
  connectAgain,
  connectPrimary,
  drop,
  listOf,
  type Reply,
  request,
  type Whereabouts,
} from './primary.ts';
import { isMachine, isOver, stampOf } from './stamp.ts';
import type { Member, News, Store, Stored, Told, Version } from './store.ts';

export interface RedisOptions extends Whereabouts {
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
export const NEWS_AT_A_TIME = 512;
const NAMES_AT_A_TIME = 200;
const BLOCK = 1000;
/** Firewalls that a group is believed to have. */
const MOST_MEMBERS = 256;
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

/** A store of Valkey or Redis (6.2 or later) by RESP2. Two connections to its primary: one waits for news. */
export function createRedisStore({ prefix, ...where }: RedisOptions): Store {
  let writer: Client | null = null;
  let reader: Client | null = null;
  const key = (name: string) => `${prefix}${name}`;
  const callKey = (name: string) => key(`call:${name}`);

  function close(): void {
    for (const client of [writer, reader]) if (client !== null) drop(client);
  }

  function send(client: Client | null, words: readonly string[], ms?: number): Promise<Reply> {
    return client === null ? Promise.reject(new Error('not connected')) : request(client, words, ms);
  }

  function ask(...words: readonly string[]): Promise<Reply> {
    return send(writer, words);
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
      close();
      const { url, client, cautions } = await connectPrimary(where, key('epoch'));
      writer = client;
      reader = await connectAgain(where, url);
      return cautions;
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
        if (typeof next !== 'string') throw new Error('it does not answer as a store does');
        cursor = next;
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
      const reply = await send(reader, words, BLOCK + ANSWER_WITHIN);
      if (reply === null) return [];
      const [, entries] = listOf(listOf(reply)[0] ?? null);
      return newsOf(entries ?? null, readNews);
    },
    async member(machine) {
      const text = await ask('GET', key(`member:${machine}`));
      return typeof text === 'string' ? memberOf(machine, text) : null;
    },
    async greet({ machine, ...about }) {
      await ask('SET', key(`member:${machine}`), JSON.stringify(about), 'PX', String(PRESENT));
      await ask('SADD', key('members'), machine);
      const machines = listOf(await ask('SMEMBERS', key('members'))).filter(isMachine);
      const found = await Promise.all(
        machines.slice(0, MOST_MEMBERS).map(async (one) => {
          const text = await ask('GET', key(`member:${one}`));
          if (text === null) await ask('SREM', key('members'), one);
          return typeof text === 'string' ? memberOf(one, text) : null;
        }),
      );
      return found.filter((one) => one !== null);
    },
    async leave(self) {
      await ask('DEL', key(`member:${self.machine}`));
      await ask('SREM', key('members'), self.machine);
    },
    async touch(names) {
      const replies = await Promise.all(names.map((name) => ask('PEXPIRE', callKey(name), String(KEPT))));
      return names.filter((_, at) => replies[at] === 0);
    },
    close,
  };
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
    const { name, records, boot, start } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (typeof name !== 'string' || typeof records !== 'number') return null;
    const life = { boot: textOr(boot, null), start: textOr(start, '') };
    return { machine, name: name.slice(0, 32), records, ...life };
  } catch {
    return null;
  }
}

function textOr<T>(value: unknown, otherwise: T): string | T {
  return typeof value === 'string' ? value.slice(0, 64) : otherwise;
}
