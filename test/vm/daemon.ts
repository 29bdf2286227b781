import type { Guest } from './guest.ts';

/** pinholed in the machine under test. */
export interface GuestDaemon {
  start(): Promise<void>;
  /** SIGTERM, until it has ended. */
  stop(): Promise<void>;
  /** Process ids: the supervisor and the data path. */
  pids(): Promise<{ readonly supervisor: number; readonly dataPath: number }>;
  /** Waits for a line that matches, among those since the last start. */
  said(pattern: RegExp): Promise<string>;
  log(): Promise<string>;
}

/** ms for what has to happen: an emulated machine takes a minute to start the daemon while this one is busy. */
const WITHIN = 300_000;
const LOOK_EVERY = 250;
/** `NAME=value` words for the daemon: BUN_JSC_useDFGJIT=0 makes it start faster on an emulated processor. */
const ENVIRONMENT = process.env['PINHOLED_VM_ENVIRONMENT'] ?? '';
/** Ends the daemon, when there is one, and waits until it has. */
const STOP =
  'if p=$(cat /var/run/pinholed.pid 2>/dev/null); then kill $p && for i in $(jot 150); do kill -0 $p 2>/dev/null || break; sleep 0.2; done; ! kill -0 $p 2>/dev/null; fi';

/** What a daemon is run on. */
export type DaemonHost = Pick<Guest, 'run' | 'files'>;

/** Writes the configuration and the ruleset, and starts the daemon with them. */
export async function startDaemon(
  guest: DaemonHost,
  config: string,
  ruleset: string,
  flags = '',
): Promise<GuestDaemon> {
  const { run } = guest;
  await writeConfig(guest, config);
  await loadRuleset(guest, ruleset);
  // A state that SIP made under other rules would go on undiverted.
  await run('pfctl -q -e 2>/dev/null; pfctl -q -F states');
  await run(`${STOP}; rm -rf /var/db/pinholed`);
  const daemon = daemonOn(guest, config, flags);
  await daemon.start();
  return daemon;
}

/** The configuration, and whom the daemon runs as. */
export async function writeConfig(guest: DaemonHost, config: string): Promise<void> {
  await write(guest, `${guest.files}/pinholed.yaml`, config);
  await guest.run(
    'pw usershow _pinholed >/dev/null 2>&1 || pw useradd _pinholed -d /nonexistent -s /usr/sbin/nologin',
  );
}

/** A daemon that is not started yet, whose configuration is written. */
export function daemonOn({ run, files }: DaemonHost, config: string, flags = ''): GuestDaemon {
  const log = `${files}/log`;

  /** What is known of the log: a console passes some kilobytes a second. */
  let known = '';
  let bytes = 0;

  async function start(): Promise<void> {
    if (process.env['PINHOLED_VM_LOG'] !== undefined && bytes > 0) console.error(await readLog());
    known = '';
    bytes = 0;
    await run(
      `cd / && ${ENVIRONMENT} nohup ${files}/pinholed run --config ${files}/pinholed.yaml --drop ${flags} >${log} 2>&1 &`,
    );
    await said(/taken up/);
    // With `fail: open` the rules follow the first heartbeat.
    if (/^intercept: bpf$/m.test(config)) return;
    await eventually(async () => (await run('sockstat | grep -c "div4.*8668" || true')).trim() !== '0');
  }

  async function readLog(): Promise<string> {
    const answer = await run(
      `size=$(stat -f %z ${log}) && echo $size && ` +
        `{ [ $size -le ${bytes} ] || tail -c +${bytes + 1} ${log} | head -c $((size - ${bytes})); }`,
    );
    const end = answer.indexOf('\n');
    bytes = Number(answer.slice(0, end));
    known += answer.slice(end + 1);
    return known;
  }

  async function said(pattern: RegExp): Promise<string> {
    let found: string | undefined;
    const look = async () => {
      const text = await readLog();
      if (/^pinholed: /m.test(text)) throw new Error(text);
      found = text.split('\n').find((line) => pattern.test(line));
      return found !== undefined;
    };
    await eventually(look).catch((error: Error) => {
      throw new Error(`no ${pattern} in the log: ${error.message}\n${known}`);
    });
    return found!;
  }

  async function pids() {
    const supervisor = Number(await run('cat /var/run/pinholed.pid'));
    const dataPath = Number(await run(`pgrep -P ${supervisor}`));
    return { supervisor, dataPath };
  }

  return {
    start,
    said,
    pids,
    log: readLog,
    async stop() {
      if (process.env['PINHOLED_VM_LOG'] !== undefined) console.error(await readLog());
      await run(
        'p=$(cat /var/run/pinholed.pid) && kill $p && while kill -0 $p 2>/dev/null; do sleep 0.2; done',
      );
    },
  };
}

/** Replaces the main ruleset, as an administrator does. */
export async function loadRuleset(guest: DaemonHost, ruleset: string): Promise<void> {
  await write(guest, `${guest.files}/pf.conf`, ruleset);
  await guest.run(`pfctl -q -f ${guest.files}/pf.conf`);
}

export async function write({ run, files }: DaemonHost, path: string, text: string): Promise<void> {
  await run(`mkdir -p ${files} && cat > ${path} <<'END-OF-FILE'\n${text}\nEND-OF-FILE`);
}

/** Waits until it is so; rejects after five minutes unless told otherwise. */
export async function eventually(look: () => Promise<boolean>, within = WITHIN): Promise<void> {
  const until = Date.now() + within;
  while (!(await look())) {
    if (Date.now() > until) throw new Error(`not so within ${within} ms: ${look}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
}
