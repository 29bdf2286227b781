import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, describe, it } from 'node:test';
import type { FailOpen } from '../../src/daemon/platform/platform.ts';
import { type Supervisor, type SupervisorOptions, supervise } from '../../src/daemon/process/supervisor.ts';
import { FirewallError } from '../../src/firewall/firewall.ts';

const directory = mkdtempSync(join(tmpdir(), 'pinholed-supervisor-'));
after(() => rmSync(directory, { recursive: true }));
let files = 0;

/** Children, in place of a data path: each gets a file in which it notes what it lives through. */
const BEATING = `
  const { appendFileSync, readFileSync, writeSync } = require('node:fs');
  const file = process.argv[1];
  const note = (text) => appendFileSync(file, text + '\\n');
  const starts = () => readFileSync(file, 'utf8').split('\\n').filter((line) => line === 'start').length;
  note('start');
  process.on('SIGTERM', () => { note('SIGTERM'); process.exit(0); });
  for (const signal of ['SIGHUP', 'SIGUSR1']) process.on(signal, () => note(signal));
  writeSync(3, 'R');
  setInterval(() => writeSync(3, '.'), 20);
`;
const HANGING_ONCE = `${BEATING}
  if (starts() === 1) setTimeout(() => { for (;;); }, 50);
`;
const DEAF = BEATING.replace("note('SIGTERM'); process.exit(0);", '');
const SHORT_LIVED = `${BEATING}
  setTimeout(() => process.exit(3), 10);
`;
/** Has no handlers before it is ready, and is not ready at once. */
const LATE = BEATING.replace("note('start');", "note('start'); setTimeout(() => {").replace(
  /\n$/,
  '}, 300);\n',
);
const FAILING = `require('node:fs').appendFileSync(process.argv[1], 'start\\n'); process.exit(3);`;

interface Running {
  readonly supervisor: Supervisor;
  readonly said: string[];
  readonly notes: () => string[];
  /** Resolves when `said`, the notes or the number of ready moments satisfy the condition. */
  readonly until: (condition: (ready: number) => boolean) => Promise<void>;
}

function run(child: string, options: Partial<SupervisorOptions> = {}): Running {
  const file = join(directory, `child${++files}`);
  const said: string[] = [];
  let ready = 0;
  const supervisor = supervise({
    command: [process.execPath, '-e', child, file],
    failOpen: null,
    ...options,
    say: (_, text) => said.push(text),
    onReady: () => {
      ready++;
    },
  });
  return {
    supervisor,
    said,
    notes: () => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []),
    until: async (condition) => {
      while (!condition(ready)) await new Promise((resolve) => setTimeout(resolve, 5));
    },
  };
}

function createFailOpenDouble() {
  const calls: string[] = [];
  const refusals: Error[] = [];
  const act = (name: string) => () => {
    const refusal = refusals.shift();
    calls.push(refusal === undefined ? name : `${name} refused`);
    if (refusal !== undefined) throw refusal;
  };
  const failOpen: FailOpen = {
    install: act('install'),
    remove: act('remove'),
    close: () => calls.push('close'),
  };
  return { failOpen, calls, refusals };
}

describe('supervisor', () => {
  it('starts a killed data path again', async () => {
    const { supervisor, until, notes } = run(BEATING);
    await until((ready) => ready === 1);
    const first = supervisor.child!;
    process.kill(first, 'SIGKILL');
    await until((ready) => ready === 2);
    assert.notEqual(supervisor.child, first);
    supervisor.stop();
    assert.equal(await supervisor.done, 0);
    assert.deepEqual(notes(), ['start', 'start', 'SIGTERM']);
  });

  it('kills a data path that hangs, and starts it again', async () => {
    const { supervisor, until, said } = run(HANGING_ONCE, { hangAfter: 400 });
    await until((ready) => ready === 2);
    assert.match(said.join('\n'), /no heartbeat for \d+ ms: killing the data path/);
    supervisor.stop();
    assert.equal(await supervisor.done, 0);
  });

  it('waits longer before each restart of a data path that keeps dying', async () => {
    const { supervisor, until, said } = run(SHORT_LIVED);
    await until(() => said.length >= 4);
    supervisor.stop();
    await supervisor.done;
    assert.deepEqual(
      said
        .slice(0, 4)
        .map((text) => text.replace(/^the data path ended \(status 3\): starting it again/, '')),
      ['', ' in 100 ms', ' in 200 ms', ' in 400 ms'],
    );
  });

  it('starts a data path again at once that ended over a packet, and tells so of each', async () => {
    const asked: boolean[] = [];
    const { supervisor, until, said } = run(SHORT_LIVED, {
      heirloom: {
        give: () => ({ descriptors: [null, null], env: {} }),
        ended(itself) {
          asked.push(itself);
          return asked.length <= 3 ? 'unread' : 'none';
        },
        letGo: () => said.push('let go'),
        close: () => {},
      },
    });
    await until(() => said.length >= 6);
    supervisor.stop();
    await supervisor.done;
    const over = 'the data path ended (status 3) over a packet, which will pass unread: starting it again';
    const otherwise = 'the data path ended (status 3): starting it again';
    assert.deepEqual(said.slice(0, 6), [over, over, over, otherwise, 'let go', `${otherwise} in 100 ms`]);
    assert.ok(asked.every((itself) => itself));
  });

  it('tells a crash from a kill, for silence or from outside, and starts again at once what was silent over a packet', async () => {
    const asked: boolean[] = [];
    const heirloom = {
      give: () => ({ descriptors: [null, null], env: {} }),
      ended: (itself: boolean) => (asked.push(itself) === 1 ? ('read again' as const) : ('none' as const)),
      letGo: () => {},
      close: () => {},
    };
    const hanging = run(HANGING_ONCE, { hangAfter: 400, heirloom });
    await hanging.until((ready) => ready === 2);
    assert.match(hanging.said.at(-1)!, /over a packet, which is read again: starting it again$/);
    process.kill(hanging.supervisor.child!, 'SIGKILL');
    await hanging.until((ready) => ready === 3);
    process.kill(hanging.supervisor.child!, 'SIGSEGV');
    await hanging.until((ready) => ready === 4);
    hanging.supervisor.stop();
    await hanging.supervisor.done;
    assert.deepEqual(asked, [false, false, true]);
  });

  it('hands down what outlives a data path', async () => {
    const memory = openSync(join(directory, 'memory'), 'w+');
    writeSync(memory, 'kept');
    const child = `const { readSync, appendFileSync, writeSync, fstatSync } = require('node:fs');
      const bytes = Buffer.alloc(4);
      readSync(4, bytes, 0, 4, 0);
      appendFileSync(process.argv[1], bytes + ' ' + process.env.HANDED + '\\n');
      process.on('SIGTERM', () => process.exit(0));
      writeSync(3, 'R');
      setInterval(() => writeSync(3, '.'), 20);`;
    const { supervisor, until, notes } = run(child, {
      heirloom: {
        give: () => ({ descriptors: [memory, null], env: { HANDED: 'down' } }),
        ended: () => 'none',
        letGo: () => {},
        close: () => closeSync(memory),
      },
    });
    await until((ready) => ready === 1);
    process.kill(supervisor.child!, 'SIGKILL');
    await until((ready) => ready === 2);
    assert.deepEqual(notes(), ['kept down', 'kept down']);
    supervisor.stop();
    await supervisor.done;
  });

  it('does not try a first start again that failed', async () => {
    const { supervisor, notes } = run(FAILING);
    assert.equal(await supervisor.done, 3);
    assert.deepEqual(notes(), ['start']);
  });

  it('tells of a program that cannot be run', async () => {
    let supervisor: Supervisor | undefined;
    await new Promise<void>((resolve) => {
      supervisor = supervise({
        command: ['/nonexistent/pinholed'],
        failOpen: null,
        say: (_, text) => text.includes('ENOENT') && resolve(),
      });
    });
    supervisor?.stop();
    await supervisor?.done;
  });

  it('passes signals on', async () => {
    const { supervisor, until, notes } = run(BEATING);
    await until((ready) => ready === 1);
    supervisor.signal('SIGHUP');
    await until(() => notes().includes('SIGHUP'));
    supervisor.signal('SIGUSR1');
    await until(() => notes().includes('SIGUSR1'));
    supervisor.stop();
    assert.equal(await supervisor.done, 0);
  });

  it('passes a signal on to a data path that is about to start only once it has begun', async () => {
    const { supervisor, until, notes } = run(LATE);
    await until(() => notes().includes('start'));
    supervisor.signal('SIGHUP');
    supervisor.signal('SIGHUP');
    await until(() => notes().length > 1);
    assert.deepEqual(notes(), ['start', 'SIGHUP']);
    supervisor.stop();
    assert.equal(await supervisor.done, 0);
  });

  it('kills a data path that does not stop', async () => {
    const { supervisor, until } = run(DEAF, { stopWithin: 100 });
    await until((ready) => ready === 1);
    supervisor.stop();
    assert.equal(await supervisor.done, 1);
  });

  it('stops between two starts, too', async () => {
    const { supervisor, until, said } = run(SHORT_LIVED);
    await until(() => said.length >= 3);
    supervisor.stop();
    assert.equal(typeof (await supervisor.done), 'number');
  });
});

describe('supervisor with fail: open', () => {
  it('has the rules in the filter only while the data path takes packets', async () => {
    const { failOpen, calls } = createFailOpenDouble();
    const { supervisor, until } = run(BEATING, { failOpen });
    assert.deepEqual(calls, ['remove'], 'rules that an earlier supervisor left');
    await until((ready) => ready === 1);
    assert.deepEqual(calls, ['remove', 'install']);
    process.kill(supervisor.child!, 'SIGKILL');
    await until((ready) => ready === 2);
    assert.deepEqual(calls, ['remove', 'install', 'remove', 'install']);
    supervisor.stop();
    assert.deepEqual(calls.slice(4), ['remove'], 'before the data path has ended');
    assert.equal(await supervisor.done, 0);
    assert.deepEqual(calls.slice(4), ['remove', 'close']);
  });

  it('removes them when the data path hangs', async () => {
    const { failOpen, calls } = createFailOpenDouble();
    const { supervisor, until } = run(HANGING_ONCE, { failOpen, hangAfter: 400 });
    await until((ready) => ready === 2);
    assert.deepEqual(calls, ['remove', 'install', 'remove', 'install']);
    supervisor.stop();
    await supervisor.done;
  });

  it('keeps asking a filter that refuses', async () => {
    const { failOpen, calls, refusals } = createFailOpenDouble();
    const { supervisor, until } = run(BEATING, { failOpen });
    await until((ready) => ready === 1);
    refusals.push(new FirewallError('busy', 'EBUSY', true));
    process.kill(supervisor.child!, 'SIGSTOP');
    await until((ready) => ready === 2);
    assert.deepEqual(calls.slice(2), ['remove refused', 'remove', 'install']);
    supervisor.stop();
    await supervisor.done;
  });
});

describe('heartbeat', () => {
  it('never waits for a supervisor that does not read', async () => {
    const module = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
    const child = spawn(
      process.execPath,
      [
        '--import',
        'tsx',
        '--input-type=module',
        '-e',
        `import { createHeartbeat } from ${module('../../src/daemon/process/heartbeat.ts')};
         import { setNonBlocking } from ${module('../../native-bindings/descriptor.ts')};
         import { loadLibc } from ${module('../../native-bindings/engine.ts')};
         setNonBlocking(await loadLibc(), 3);
         const heartbeat = createHeartbeat(3);
         let alive = true;
         for (let beat = 0; beat < 20_000; beat++) alive &&= heartbeat.beat();
         process.exit(alive ? 0 : 1);`,
      ],
      { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] },
    );
    const pipe = child.stdio[3] as Readable;
    pipe.pause();
    assert.equal(await new Promise((resolve) => child.on('exit', resolve)), 0);
    pipe.destroy();
  });
});
