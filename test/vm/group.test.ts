/** Two FreeBSD machines with CARP and pfsync that share their calls: the first loses power, and comes back. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Number01, SHARED_EXTERNAL, STORE_ADDRESS } from '../../lab/pair.ts';
import { createStage, type Stage, splits } from '../../lab/stage.ts';
import { withoutStore } from '../group/redis-server.ts';
import { createPlayedCalls, type PlayedCall } from '../linux/played-calls.ts';
import { daemonOn, eventually, type GuestDaemon, write, writeConfig } from './daemon.ts';
import { Lacking, openVmPair, type VmPair, withoutPair } from './pair.ts';
import { UNCAPPED } from './ruleset.ts';

const CALLS = 20;
const SOME = CALLS / 4;
const PASSWORD = 'a password of the store';
const JOINED = /peers-store: joined/;
const NUMBERS = [0, 1] as const;
/** ms: a state by which both have sent expires by itself after 60 s (`udp.multiple`). */
const LESS_THAN_A_STATE_LASTS = 30_000;

type Interfaces = VmPair['firewalls'][0]['interfaces'];

interface Setting {
  readonly name: string;
  readonly external: string | null;
  /** The daemon loads its rules that divert; otherwise they stand in pf.conf. */
  readonly failOpen: boolean;
}

const SETTINGS: readonly Setting[] = [
  { name: 'CARP addresses, divert rules in pf.conf', external: null, failOpen: false },
  {
    name: 'a CARP address that stands for the client, divert rules of the daemon',
    external: SHARED_EXTERNAL,
    failOpen: true,
  },
];

/** As docs/cluster.md has it: nothing passes but SIP, what pinholes let through, and what the pair itself needs. */
function pairRules({ external, failOpen }: Setting, { inside, outside, sync }: Interfaces): string {
  const sip = 'to port 5060';
  const translations = [
    `nat on ${outside} inet proto udp from 10.0.1.10 port 5060 to any -> ${external} static-port`,
    `nat on ${outside} inet from 10.0.1.0/24 to any -> ${external}`,
    'binat-anchor "pinholed"',
    'rdr-anchor "pinholed"',
    `rdr on ${outside} inet proto udp to ${external} port 5060 -> 10.0.1.10`,
  ];
  return [
    'set reassemble yes',
    'set state-policy if-bound',
    'set skip on lo0',
    'set limit anchors 1024',
    ...(external === null ? [] : translations),
    'block log all',
    `pass quick on ${sync} proto pfsync keep state (no-sync)`,
    `pass quick on { ${inside} ${outside} } proto carp keep state (no-sync)`,
    `pass out quick on ${sync} inet proto tcp to ${STORE_ADDRESS} keep state (no-sync)`,
    ...(failOpen
      ? ['anchor "pinholed/divert"']
      : [
          `pass in quick on ${inside} proto udp ${sip} keep state (no-sync) divert-to 8668`,
          `pass out quick on ${inside} proto udp ${sip} keep state (no-sync) divert-to 8668`,
          `pass in quick on ${inside} proto tcp ${sip} flags any keep state (no-sync, sloppy) divert-to 8668`,
          `pass out quick on ${inside} proto tcp ${sip} flags any keep state (no-sync, sloppy) divert-to 8668`,
        ]),
    `pass in quick on ${outside} proto { tcp udp } ${sip}`,
    `pass out quick on ${outside} proto { tcp udp } ${sip}`,
    'anchor "pinholed" proto { tcp udp } to port 1024:65535',
  ].join('\n');
}

for (const setting of SETTINGS) {
  describe(`two FreeBSD machines: ${setting.name}`, { skip: withoutPair || withoutStore }, () => {
    let pair: VmPair;
    let stage: Stage;
    /** With a connection from the client to the server, over which they talk. */
    let openConnection: () => Promise<Stage>;
    const daemons: GuestDaemon[] = [];
    const { callsUp, establish, media, hold, resume, moveMedia, hangUp, play } = createPlayedCalls(
      () => stage,
      20_000,
    );

    /** What the image has not got. */
    let lacking: string | undefined;

    before(async () => {
      const rules = (interfaces: Interfaces) => pairRules(setting, interfaces);
      try {
        pair = await openVmPair({ rules, password: PASSWORD });
      } catch (error) {
        if (!(error instanceof Lacking)) throw error;
        lacking = error.message;
        return;
      }
      const theatre = { actors: pair.actors, firewall: () => '' };
      const { external } = setting;
      const seen = { family: 4, ...(external !== null && { external }) } as const;
      stage = await createStage(theatre, seen);
      openConnection = () => createStage(theatre, { ...seen, split: splits['not at all']! });
      for (const number of NUMBERS) await serve(number);
      await pair.firewalls[0].isMaster();
    });

    after(() => pair?.close());

    /** Starts the daemon of one, and has it take part in CARP once it knows all calls. */
    async function serve(number: Number01): Promise<void> {
      const machine = pair.firewalls[number];
      const { files } = machine;
      await write(machine, `${files}/password`, PASSWORD);
      await machine.run(`chmod 640 ${files}/password`);
      const config = [
        'inside: [10.0.1.0/24]',
        'outbound: true',
        `peers-store: {url: 'redis://${STORE_ADDRESS}:${pair.store.port}', password-file: ${files}/password, name: fw${number + 1}}`,
        ...(setting.external === null ? [] : [`nat: [{external: ${setting.external}, hosts: [10.0.1.10]}]`]),
        ...(setting.failOpen
          ? ['fail: open', `freebsd: { inside-interfaces: [${machine.interfaces.inside}] }`]
          : []),
        UNCAPPED,
      ];
      await writeConfig(machine, config.join('\n'));
      const daemon = daemonOn(machine, config.join('\n'));
      daemons[number] = daemon;
      await daemon.start();
      await daemon.said(JOINED);
      await machine.offer();
    }

    /** Ports of the pinholes that one has. */
    async function portsAt(number: Number01): Promise<Set<number>> {
      const text = await pair.firewalls[number].run(
        `pfctl -q -a 'pinholed/*' -sr 2>/dev/null | grep '^ *pass quick ' | awk '!seen[$0]++'; true`,
      );
      return new Set([...text.matchAll(/port (?:= )?(\d+)/g)].map(([, port]) => Number(port)));
    }

    /** Media's states of one. */
    async function statesAt(number: Number01): Promise<string[]> {
      const text = await pair.firewalls[number].run('pfctl -q -ss');
      return text.split('\n').filter((line) => line.includes(' udp ') && !line.includes(':5060'));
    }

    /** Both have the pinholes of these calls, and none of those. */
    async function bothHave(up: readonly PlayedCall[], over: readonly PlayedCall[] = []): Promise<void> {
      for (const number of NUMBERS) {
        await eventually(async () => {
          const there = await portsAt(number);
          return (
            up.every(({ ports }) => ports.every((port) => there.has(port))) &&
            !over.some(({ ports }) => ports.some((port) => there.has(port)))
          );
        }, 60_000);
      }
    }

    /** Neither has a rule or a state of a call. */
    async function nothingIsLeft(): Promise<void> {
      for (const number of NUMBERS) {
        const isEmpty = async () => (await statesAt(number)).length === 0;
        await eventually(isEmpty, LESS_THAN_A_STATE_LASTS).catch(async () =>
          assert.deepEqual(await statesAt(number), [], `states of firewall ${number + 1}`),
        );
        assert.deepEqual([...(await portsAt(number))], [], `rules of firewall ${number + 1}`);
      }
    }

    it(`${CALLS} calls, half of them on hold, go on when the first machine loses power, and when it is back`, async (context) => {
      if (lacking !== undefined) return context.skip(lacking);
      const calls = callsUp(CALLS);
      const held = calls.filter((_, index) => index % 2 === 1);
      const talking = calls.filter((_, index) => index % 2 === 0);
      await play(calls, establish);
      await play(held, hold);
      await play(talking, media);
      await bothHave(calls);

      await pair.firewalls[0].lose();
      await pair.firewalls[1].isMaster();
      const came = await statesAt(1);
      for (const { ports } of talking) {
        assert.ok(
          came.some((line) => line.includes(`:${ports[0]}`)),
          `pfsync has brought ${ports[0]}`,
        );
      }
      await play(talking, media);
      await play(held, (call) => [...resume(call), ...media(call)]);
      await play(talking.slice(0, SOME), (call) => [...moveMedia(call), ...media(call)]);
      const ended = [...talking.slice(-SOME), ...held.slice(-SOME)];
      await play(ended, hangUp);
      const over = ended.flatMap(({ ports }) => ports.map((port) => `:${port}`));
      await eventually(
        async () => !(await statesAt(1)).some((line) => over.some((port) => line.includes(port))),
        LESS_THAN_A_STATE_LASTS,
      );
      const later = callsUp(SOME);
      await play(later, (call) => [...establish(call), ...media(call)]);
      const left = [...calls.filter((call) => !ended.includes(call)), ...later];

      await pair.firewalls[0].raise();
      await serve(0);
      await bothHave(left, ended);
      await pair.firewalls[0].isMaster();
      await play(left, media);
      await play(left.slice(0, SOME), (call) => [...moveMedia(call), ...media(call)]);
      await play(left, hangUp);
      await nothingIsLeft();
      for (const { ports } of [left[0]!, ended[0]!]) {
        await stage.play(stage.blocked(`server:${ports[1]}`, `client:${ports[0]}`));
      }
    });

    it('a call over TCP goes on over its connection when the addresses move', async (context) => {
      if (lacking !== undefined) return context.skip(lacking);
      const [first, second] = pair.firewalls;
      const connection = await openConnection();
      const [call] = callsUp(1, connection);
      await connection.play(...establish(call!), ...media(call!));
      await bothHave([call!]);
      await first.withdraw();
      await second.isMaster();
      await connection.play(...media(call!), ...moveMedia(call!), ...media(call!));
      await bothHave([call!]);
      await connection.play(...hangUp(call!));
      await nothingIsLeft();
      await first.offer();
      await first.isMaster();
    });
  });
}
