import { object, plain } from '../shape.ts';
import { type Address, parseAddress, type TransportAddress } from './address.ts';

/** An address as `parseAddress` gives it. */
export const address = plain(
  'an address',
  (value): value is Address => typeof value === 'string' && parseAddress(value) === value,
);

const PORTS = 65_536;

export const port = plain(
  'a port',
  (value): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) < PORTS,
);

/** First and last port. */
export const ports = plain(
  'a range of ports',
  (value): value is [first: number, last: number] =>
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((one) => Number.isInteger(one) && one >= 0 && one < PORTS) &&
    value[0] <= value[1],
);

export const transportAddress = object<TransportAddress>({ address, port });
