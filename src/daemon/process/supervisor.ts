import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { FirewallError } from '../../firewall/firewall.ts';
import type { FailOpen } from '../platform/platform.ts';
import type { Heirloom } from './handed-down.ts';
import { READY_BYTE } from './heartbeat.ts';

export interface SupervisorOptions {
  /** The data-path process: program and arguments. Its descriptor 3 is the heartbeat pipe. */
  readonly command: readonly [string, ...string[]];
  /** Its environment, asked for before each start; this process's own by default. */
  readonly env?: () => NodeJS.ProcessEnv;
  /** What outlives a data path; null where it has to begin anew each time. */
  readonly heirloom?: Heirloom | null;
  /** The daemon's own rules, with `fail: open`; null leaves rules alone. */
  readonly failOpen: FailOpen | null;
  readonly say: (level: 'error' | 'warn' | 'info', text: string) => void;
  /** A data path was started, with this process id. */
  readonly onStart?: (pid: number) => void;
  /** The data path takes packets, for the first time or again. */
  readonly onReady?: () => void;
  /** ms without a heartbeat after which the data path counts as dead. */
  readonly hangAfter?: number;
  /** ms within which a start, and a stop, must be done. */
  readonly startWithin?: number;
  readonly stopWithin?: number;
}

export interface Supervisor {
  /** The exit status to end with: of the stop that was asked for, or of a first start that failed. */
  readonly done: Promise<number>;
  /** Ends the data path in good order. */
  stop(): void;
  /** Passes a signal on: at once, or once there is a data path that has begun. */
  signal(signal: NodeJS.Signals): void;
  /** Process id of the data path; null between two. */
  readonly child: number | null;
}

const WATCH = 100;
const HANG_AFTER = 1000;
const START_WITHIN = 120_000;
const STOP_WITHIN = 15_000;
const RESTART_FIRST = 100;
const RESTART_LAST = 10_000;
/** ms of service after which a failure counts as the first again. */
const STABLE = 60_000;
const RULES_AGAIN = 100;

/**
 * Keeps one data-path process running: starts it anew when it ends or when its heartbeat stops, at once the first
 * time and then ever more slowly, but always at once where it crashed or hung over a packet: one that it crashed on, or hung over
 * twice, is not read again. With `failOpen`, the daemon's rules stand only while it takes packets.
 * A first start that ends by itself is not tried again: what is wrong then is the configuration or the system.
 */
export function supervise(options: SupervisorOptions): Supervisor {
  const { command, failOpen, say } = options;
  const heirloom = options.heirloom ?? null;
  const hangAfter = options.hangAfter ?? HANG_AFTER;
  let child: ChildProcess | null = null;
  let ready = false;
  /** Whether this data path has taken packets, and whether it was killed for its silence. */
  let served = false;
  let hung = false;
  let everReady = false;
  let stopping = false;
  let startedAt = 0;
  let readyAt = 0;
  let beatAt = 0;
  let watchedAt = performance.now();
  let failures = 0;
  /** Signals for the next data path that has begun. */
  const pending = new Set<NodeJS.Signals>();
  let restart: NodeJS.Timeout | null = null;
  let finish: (status: number) => void = () => {};
  const done = new Promise<number>((resolve) => {
    finish = resolve;
  });
  const rules = failOpen === null ? null : keepRules(failOpen, say);
  const watcher = setInterval(watch, WATCH);

  function start(): void {
    restart = null;
    ready = false;
    served = false;
    hung = false;
    startedAt = performance.now();
    const [program, ...args] = command;
    const given = heirloom?.give();
    const started = spawn(program, args, {
      stdio: [
        ...(['ignore', 'inherit', 'inherit', 'pipe'] as const),
        ...(given?.descriptors ?? []).map((descriptor) => descriptor ?? 'ignore'),
      ],
      env: { ...(options.env?.() ?? process.env), ...given?.env },
    });
    child = started;
    if (started.pid !== undefined) options.onStart?.(started.pid);
    const pipe = started.stdio[3] as Readable | null | undefined;
    pipe?.on('data', (bytes: Buffer) => {
      if (child === started) hear(bytes);
    });
    pipe?.on('error', () => {});
    let ended = false;
    const end = (why: string, status: number | null) => {
      if (ended) return;
      ended = true;
      onEnd(why, status);
    };
    started.on('error', (error) => {
      if (started.pid === undefined) end(error.message, null);
    });
    started.on('exit', (code, signal) => end(signal ?? `status ${code}`, code));
  }

  function hear(bytes: Buffer): void {
    beatAt = performance.now();
    if (ready || !bytes.includes(READY_BYTE)) return;
    ready = true;
    served = true;
    everReady = true;
    readyAt = beatAt;
    rules?.want(!stopping);
    options.onReady?.();
    for (const signal of pending) child?.kill(signal);
    pending.clear();
  }

  /** One that has not begun would end by it. */
  function signal(name: NodeJS.Signals): void {
    if (ready) child?.kill(name);
    else pending.add(name);
  }

  function watch(): void {
    const now = performance.now();
    const late = now - watchedAt > 3 * WATCH;
    watchedAt = now;
    if (late) beatAt = Math.max(beatAt, now - WATCH);
    if (child === null || stopping) return;
    if (ready && now - beatAt > hangAfter) {
      say(
        'error',
        `no heartbeat for ${Math.round(now - beatAt)} ms: killing the data path (pid ${child.pid})`,
      );
    } else if (!ready && now - startedAt > (options.startWithin ?? START_WITHIN)) {
      say('error', `the data path (pid ${child.pid}) did not start in time: killing it`);
    } else {
      return;
    }
    hung = ready;
    ready = false;
    startedAt = now;
    rules?.want(false);
    child.kill('SIGKILL');
  }

  function onEnd(why: string, status: number | null): void {
    rules?.want(false);
    child = null;
    ready = false;
    if (stopping || (!everReady && status !== null)) {
      if (!stopping) say('error', 'the first start failed: not trying again');
      void end(status ?? (stopping && why === 'SIGTERM' ? 0 : 1));
      return;
    }
    const inWork = served ? heirloom?.ended(why !== 'SIGKILL' && status !== 0) : 'none';
    if (inWork === 'unread' || (hung && inWork === 'read again')) {
      const next = inWork === 'unread' ? 'will pass unread' : 'is read again';
      say('error', `the data path ended (${why}) over a packet, which ${next}: starting it again`);
      restart = setTimeout(start, 0);
      return;
    }
    if (readyAt > startedAt && performance.now() - readyAt > STABLE) failures = 0;
    const delay = failures === 0 ? 0 : Math.min(RESTART_LAST, RESTART_FIRST * 2 ** (failures - 1));
    failures++;
    if (delay > 0) heirloom?.letGo();
    say('error', `the data path ended (${why}): starting it again${delay === 0 ? '' : ` in ${delay} ms`}`);
    restart = setTimeout(start, delay);
  }

  async function end(status: number): Promise<void> {
    clearInterval(watcher);
    await rules?.end();
    finish(status);
  }

  function stop(): void {
    if (stopping) return;
    stopping = true;
    rules?.want(false);
    heirloom?.close();
    if (child === null) {
      if (restart !== null) clearTimeout(restart);
      void end(0);
      return;
    }
    const told = child;
    told.kill('SIGTERM');
    const last = setTimeout(() => {
      say('error', 'the data path did not stop in time: killing it');
      told.kill('SIGKILL');
    }, options.stopWithin ?? STOP_WITHIN);
    last.unref();
  }

  rules?.want(false);
  start();
  return {
    done,
    stop,
    signal,
    get child() {
      return child?.pid ?? null;
    },
  };
}

/** Puts the rules in or takes them out as wanted, and keeps trying when the packet filter refuses. */
function keepRules(failOpen: FailOpen, say: SupervisorOptions['say']) {
  let wanted = false;
  /** Null: not known. */
  let there: boolean | null = null;
  let again: NodeJS.Timeout | null = null;
  let complained = false;

  function settle(): void {
    again = null;
    if (there === wanted) return;
    try {
      if (wanted) failOpen.install();
      else failOpen.remove();
      if (there !== null || wanted) {
        say(
          'warn',
          wanted ? 'SIP is handed to the daemon' : 'SIP passes unread: fail-open rules are removed',
        );
      }
      there = wanted;
      complained = false;
    } catch (error) {
      there = null;
      const busy = error instanceof FirewallError && error.transient;
      if (!complained && !busy) {
        say('error', `rules cannot be ${wanted ? 'loaded' : 'removed'}, trying on: ${String(error)}`);
        complained = true;
      }
      again = setTimeout(settle, busy ? 1 : RULES_AGAIN);
    }
  }

  return {
    want(rules: boolean) {
      wanted = rules;
      if (again !== null) clearTimeout(again);
      settle();
    },
    /** Waits, for a while, until the rules are out. */
    async end() {
      for (let tries = 0; tries < 50 && there !== false; tries++) {
        await new Promise((resolve) => setTimeout(resolve, RULES_AGAIN));
      }
      if (again !== null) clearTimeout(again);
      failOpen.close();
    },
  };
}
