import type { TransportAddress } from '../address/address.ts';
import { formatTransportAddress } from '../config/kinds.ts';
import type { Settings } from '../config/schema.ts';
import type { AlarmBoard } from '../control/alarms.ts';
import { StartError } from '../daemon/platform/platform.ts';
import type { RunningDaemon } from '../daemon/serve.ts';
import type { History } from '../history/history.ts';
import { createWebServer, type WebServer } from './server.ts';
import { createLiveSource, type DroppedNear, type LiveSource } from './source.ts';

/** The live page of a daemon: nothing at all while `web` is off. */
interface LivePageService {
  /** Shows this daemon from now on; what is asked before has no answer. */
  start(daemon: RunningDaemon, history: History, board: AlarmBoard, dropped: DroppedNear): void;
  /** Goes where `web` says now. Where that cannot be had it stays where it is, and the log says so. */
  reload(settings: Pick<Settings, 'web'>): void;
  close(): void;
}

interface Opened {
  readonly listen: TransportAddress;
  readonly server: WebServer;
}

interface Shown {
  readonly daemon: RunningDaemon;
  readonly history: History;
  readonly board: AlarmBoard;
  readonly dropped: DroppedNear;
}

/** Binds the address of `web`. Throws StartError when it is not to be had. */
export async function openLivePage({ web }: Pick<Settings, 'web'>): Promise<LivePageService> {
  let shown: Shown | null = null;
  let source: LiveSource | null = null;
  let isFailing = false;
  let isClosed = false;
  let opened = web === null ? null : await open(web);
  let reloaded = Promise.resolve();

  function running(): LiveSource {
    if (source === null) throw new Error('the daemon is starting');
    return source;
  }

  async function open(listen: TransportAddress): Promise<Opened> {
    try {
      const server = await createWebServer({
        listen,
        async snapshot(selection) {
          const snapshot = await running().snapshot(selection);
          isFailing = false;
          return snapshot;
        },
        call: (legId) => running().call(legId),
        failed,
      });
      return { listen, server };
    } catch (error) {
      throw notListening(listen, error as NodeJS.ErrnoException);
    }
  }

  /** The page asks again and again: what fails on and on is said once. */
  function failed(error: unknown): void {
    if (!isFailing) shown?.daemon.say('error', `web: ${error instanceof Error ? error.message : error}`);
    isFailing = true;
  }

  function show(): void {
    source =
      opened === null || shown === null
        ? null
        : createLiveSource(shown.daemon, shown.history, shown.board, shown.dropped);
    if (source !== null) {
      shown?.daemon.say('info', `web: the live page is at http://${formatTransportAddress(opened!.listen)}/`);
    }
  }

  async function goTo(listen: TransportAddress | null): Promise<void> {
    const before = opened;
    if (isClosed || written(listen) === written(before?.listen ?? null)) return;
    try {
      opened = listen === null ? null : await open(listen);
    } catch (error) {
      const still = before === null ? 'off' : `at http://${written(before.listen)}/`;
      shown?.daemon.say('error', `${(error as Error).message}; the live page stays ${still}`);
      return;
    }
    void before?.server.close();
    if (isClosed) void opened?.server.close();
    else if (opened === null) shown?.daemon.say('info', 'web: the live page is off');
    if (!isClosed) show();
  }

  return {
    start(daemon, history, board, dropped) {
      shown = { daemon, history, board, dropped };
      show();
    },
    reload(settings) {
      reloaded = reloaded.then(() => goTo(settings.web));
    },
    close() {
      isClosed = true;
      void opened?.server.close();
    },
  };
}

function written(listen: TransportAddress | null): string {
  return listen === null ? 'off' : formatTransportAddress(listen);
}

const CAUSES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'something else listens there; choose another port or end what has it (EADDRINUSE)',
  EADDRNOTAVAIL: 'this machine has no such address (EADDRNOTAVAIL)',
  EACCES: 'ports below 1024 can be bound at a start only (EACCES)',
};

function notListening(listen: TransportAddress, { code = '', message }: NodeJS.ErrnoException): StartError {
  return new StartError(`web: ${formatTransportAddress(listen)}: ${CAUSES[code] ?? message}`, code);
}
