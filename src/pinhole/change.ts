import type { Pinhole } from './pinhole.ts';

/**
 * What one packet or one deadline asks of the firewall, to be done as one: everything in `open` exists and
 * everything in `close` is gone when the commit returns. A firewall opens before it closes.
 */
export interface Change {
  readonly open: readonly Pinhole[];
  readonly close: readonly Pinhole[];
}
