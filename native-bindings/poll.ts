import { at, i16, i32, struct } from './struct.ts';

/** struct pollfd (poll.h), the same on both systems. */
export const pollfd = struct('pollfd', 8, {
  fd: at(0, i32),
  events: at(4, i16),
  revents: at(6, i16),
});
