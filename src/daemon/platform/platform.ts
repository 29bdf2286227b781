import type { Ingress } from '../../address/ingress.ts';
import type { Settings } from '../../config/schema.ts';
import type { Firewall, FirewallControl } from '../../firewall/firewall.ts';
import type { BlockedSource, Interceptor } from '../../intercept/interceptor.ts';

/**
 * What a platform is to the daemon. Each part is opened in the thread or process that uses it, and goes on
 * working when that is an unprivileged user (on Linux with CAP_NET_ADMIN). `settings` is asked again whenever a
 * value is needed, so that a reload takes effect.
 */
export interface DaemonPlatform {
  readonly name: 'freebsd' | 'linux';
  /**
   * Who may open the data path: `root`, after which nothing more is needed (divert(4), /dev/pf), or whoever has
   * CAP_NET_ADMIN (netlink), which on Linux is all that is left by then. The other parts are opened as root.
   */
  readonly dataPathOpener: 'root' | 'network-administrator';
  /**
   * For the supervisor: the descriptor that packets come from, bound, which the data path uses and which keeps them
   * while there is none. Absent where the data path has to bind for itself. Throws InterceptError or SystemError.
   */
  bindIntake?(settings: Settings): number;
  /**
   * For the data-path thread; `intake` is a descriptor of `bindIntake`, null where it has to bind for itself. Throws
   * InterceptError or FirewallError.
   */
  openDataPath(settings: () => Settings, intake: number | null): Promise<DataPathEnds>;
  /** For the control thread, with descriptors of its own: what takes long and holds up no packet. */
  openControl(settings: () => Settings): Promise<ControlEnds>;
  /** For the supervisor, with `fail: open` only. */
  openFailOpen(settings: Settings): Promise<FailOpen>;
}

export interface DataPathEnds {
  readonly interceptor: Interceptor;
  readonly firewall: Firewall;
  /** Lines for the log about what was found and set up: buffer sizes, versions, missing rules. */
  readonly description: readonly string[];
}

export interface ControlEnds {
  readonly firewall: FirewallControl;
  /** Tells which interfaces lead to inside hosts, as of now; null where nothing can be known. Throws SystemError. */
  readonly ingress: (() => Ingress) | null;
  /** What the ruleset drops and logs, where `blocked.watch` asks for it. */
  readonly blocked?: BlockedSource | null;
  /** As those of the interceptor: what takes root to open. */
  counters(): Readonly<Record<string, number>>;
  close(): void;
}

/** The daemon's own rules that hand SIP to it, for as long as it takes packets. */
export interface FailOpen {
  install(): void;
  /** Removes the rules and their states, so that signalling passes unread. Does nothing when they are gone. */
  remove(): void;
  close(): void;
}

/** `open.ts`, or what stands in for it, named by its URL: what both threads and the supervisor import. */
export interface PlatformModule {
  openPlatform(settings: Settings): Promise<DaemonPlatform>;
}

/** A start that cannot succeed; the message is the line to print. */
export class StartError extends Error {
  override readonly name = 'StartError';
  /** The symbol of the errno behind it; '' when there is none. */
  readonly code: string;
  constructor(message: string, code = '') {
    super(message);
    this.code = code;
  }
}

const ROOT_LACKS =
  process.platform === 'freebsd'
    ? 'in a jail without vnet root may not do this'
    : 'in a container root may lack CAP_NET_ADMIN';

/** Throws the error of an open, as StartError with its usual cause where it has one. */
export function explainOpening(error: Error & { code?: string }): never {
  const { message, code = '' } = error;
  if (!['EADDRINUSE', 'EBUSY', 'EPERM'].includes(code)) throw error;
  throw new StartError(`${message} (does another pinholed run? ${ROOT_LACKS})`, code);
}

/** The system the settings ask for. Throws StartError where that is not the one we run on. */
export function platformName(
  settings: Pick<Settings, 'platform'>,
  running: string = process.platform,
): DaemonPlatform['name'] {
  const { platform } = settings;
  if (running !== 'freebsd' && running !== 'linux') {
    throw new StartError(`platform ${running} is not supported: expected freebsd or linux`);
  }
  if (platform !== 'auto' && platform !== running) {
    throw new StartError(`platform: ${platform} is configured, but this is ${running}`);
  }
  return running;
}
