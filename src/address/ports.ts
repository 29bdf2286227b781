/** Ports from `first` to `last`, both included. */
export type PortRange = readonly [first: number, last: number];
