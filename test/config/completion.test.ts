import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { typescript } from '../../lab/actors.ts';
import { scratch, serve, type TestServer } from '../control/socket.ts';

const LEG = '3f2a00aa00000001';
const OTHER = '3f2b00bb00000002';
const CALL = { from: 'sip:alice@example.com', to: 'sip:bob@example.com', state: 'confirmed' };
const CALLS = [
  { ...CALL, legId: LEG, callId: 'a84b4c76e66710:1@pbx.example' },
  { ...CALL, legId: OTHER, callId: 'a84$(reboot)' },
  { ...CALL, legId: 'ffff000000000003', callId: 'zz@pbx.example' },
];

const without = (shell: string) => (spawnSync(shell, ['--version']).status === 0 ? false : `needs ${shell}`);

describe('completion in a shell', () => {
  const directory = scratch();
  const program = join(directory.path, 'pinholed');
  const config = join(directory.path, 'pinholed.yaml');
  let server: TestServer;
  const scripts = new Map<string, string>();

  /** What the shell says that runs this; the server is in this process. */
  function run(command: string, ...words: readonly string[]): Promise<string> {
    const environment = {
      ...process.env,
      PATH: `${directory.path}:${process.env['PATH']}`,
      HOME: directory.path,
      // What yargs says in a user's own language.
      LC_ALL: 'de_DE.UTF-8',
    };
    const child = spawn(command, words, { env: environment, cwd: directory.path });
    let [said, complaints] = ['', ''];
    child.stdout.on('data', (chunk) => {
      said += chunk;
    });
    child.stderr.on('data', (chunk) => {
      complaints += chunk;
    });
    return new Promise((resolve, reject) => {
      child.on('close', (status) =>
        status === 0 ? resolve(said) : reject(new Error(`${command}: ${status} ${complaints}${said}`)),
      );
    });
  }

  before(async () => {
    const words = typescript('../src/main.ts').map((one) => (one === 'tsx' ? import.meta.resolve(one) : one));
    writeFileSync(program, `#!/bin/sh\nexec '${words.join("' '")}' "$@"\n`);
    chmodSync(program, 0o755);
    server = await serve({
      async *calls(request) {
        const match = 'match' in request ? String(request.match) : '';
        yield { calls: CALLS.filter((call) => JSON.stringify(call).includes(match)) };
      },
      status: async () => ({ alarms: [{ name: 'packet-deaths', text: 'packets died' }] }),
    });
    writeFileSync(
      config,
      `control: { socket: ${server.path} }\npeers: [{ name: provider, networks: [203.0.113.7] }]\n`,
    );
    for (const shell of ['bash', 'zsh', 'fish']) {
      const text = await run(program, 'completion', shell);
      scripts.set(shell, join(directory.path, `completion.${shell}`));
      writeFileSync(scripts.get(shell)!, text);
    }
  });

  after(() => {
    server.stop();
    directory.remove();
  });

  const SHELLS = {
    /** As readline does, whose words end at : and @ as well. */
    bash: async (line: string) => {
      const words = line.match(/[:@]|[^ :@]+|(?<= )$/g) ?? [];
      const script = `. ${scripts.get('bash')}
COMP_LINE='${line}'; COMP_POINT=\${#COMP_LINE}; COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${words.length - 1}; _pinholed; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return run('bash', '--norc', '-uc', script);
    },
    /** In a terminal of zsh's own, which lists what compadd is given. */
    zsh: async (line: string) => {
      const script = `rm -f ${directory.path}/found; zmodload zsh/zpty; zpty -b z zsh -f -i
zpty -w z 'PS1=; autoload -U compinit; compinit -u -D; . ${scripts.get('zsh')}'
zpty -w z 'compadd() { local -a opts; builtin compadd "$@"; local -a found; builtin compadd -O found "$@"; print -l -- +$^found+ >>${directory.path}/found; }'
zpty -w z 'bindkey "^Y" complete-word; zle -N done-word; done-word() { print -l ++ >>${directory.path}/found }; bindkey "^X" done-word'
zpty -w -n z $'${line}\\C-y\\C-x'
repeat 600; do grep -q '^++$' ${directory.path}/found 2>/dev/null && break; sleep 0.1; done
zpty -d z; grep -v '^++$' ${directory.path}/found | tr -d + || true`;
      return run('zsh', '-f', '-c', script);
    },
    fish: async (line: string) =>
      run('fish', '--no-config', '-c', `source ${scripts.get('fish')}; complete -C '${line}'`),
  } as const;

  for (const [shell, ask] of Object.entries(SHELLS)) {
    describe(shell, { skip: without(shell) }, () => {
      const offered = async (line: string) =>
        (await ask(line))
          .split('\n')
          .map((one) => one.split('\t', 1)[0]!)
          .filter((one, index, all) => one !== '' && all.indexOf(one) === index);

      it('has commands, and the options of each', async () => {
        assert.deepEqual(await offered('pinholed do'), ['doctor']);
        assert.deepEqual(await offered('pinholed replay --ins'), ['--inside']);
        assert.deepEqual(await offered('pinholed check --ins'), []);
      });

      it('has the values of an option of which there are some', async () => {
        assert.deepEqual((await offered('pinholed calls --sort ')).sort(), ['age', 'idle', 'packets']);
        assert.deepEqual(await offered('pinholed calls --state conf'), ['confirmed']);
        assert.deepEqual((await offered('pinholed completion ')).sort(), ['bash', 'fish', 'zsh']);
      });

      it('has files where a file is meant', async () => {
        assert.ok((await offered('pinholed check --config pinholed.y')).includes('pinholed.yaml'));
      });

      it('has names of calls, alarms and peers from the daemon and the configuration that the line names', async () => {
        const { length } = 'a84b4c76e66710:';
        const callId = shell === 'bash' ? CALLS[0]!.callId.slice(length) : CALLS[0]!.callId;
        assert.deepEqual((await offered(`pinholed explain --socket ${server.path} 3f2`)).sort(), [
          LEG,
          OTHER,
        ]);
        assert.deepEqual(await offered(`pinholed explain --socket ${server.path} a84b4c76e66710:1`), [
          callId,
        ]);
        // Of a word that has not begun: none of its Call-IDs.
        assert.deepEqual(
          (await offered(`pinholed explain --socket ${server.path} `)).sort(),
          CALLS.map(({ legId }) => legId),
        );
        // A Call-ID is a stranger's text: none that means something to a shell is offered.
        assert.deepEqual(await offered(`pinholed close -c ${config} a84`), [CALLS[0]!.callId]);
        assert.deepEqual(await offered(`pinholed acknowledge -c ${config} pack`), ['packet-deaths']);
        assert.deepEqual(await offered(`pinholed selftest -c ${config} --peer p`), ['provider']);
      });
    });
  }

  it('waits for no daemon that does not answer, and for no end of a pipe', async () => {
    const path = join(directory.path, 'mute');
    const mute = createServer().listen(path);
    await once(mute, 'listening');
    const pipe = join(directory.path, 'pipe');
    execFileSync('mkfifo', [pipe]);
    try {
      const asked = run(program, 'complete', 'calls', '', '--line', `pinholed explain --socket ${path} `);
      await assert.rejects(asked, /^Error: \S+ 1 $/);
      for (const source of ['calls', 'peers']) {
        assert.equal(await run(program, 'complete', source, '', '--line', `pinholed x -c ${pipe} `), '');
      }
    } finally {
      mute.close();
    }
  });
});
