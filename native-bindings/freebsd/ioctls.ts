import { pfiocStatesV2 } from './pf-states.ts';
import {
  pfiocLimit,
  pfiocNatlook,
  pfiocNv,
  pfiocPooladdr,
  pfiocRule,
  pfiocRuleset,
  pfiocTrans,
} from './pfioc.ts';

const IOC_OUT = 0x40000000;
const IOC_IN = 0x80000000;

/** _IOWR(group, number, type) of sys/ioccom.h, with the type's size in bytes. */
export function iowr(group: string, number: number, size: number): number {
  return request(IOC_IN + IOC_OUT, group, number, size);
}

/** _IOR(group, number, type). */
export function ior(group: string, number: number, size: number): number {
  return request(IOC_OUT, group, number, size);
}

/** _IOW(group, number, type). */
export function iow(group: string, number: number, size: number): number {
  return request(IOC_IN, group, number, size);
}

function request(way: number, group: string, number: number, size: number): number {
  return (way + ((size & 0x1fff) << 16) + (group.charCodeAt(0) << 8) + number) >>> 0;
}

/** pf(4)'s requests, by their C names: the size of the struct is part of the number. */
export const pfIoctls = {
  DIOCADDRULE: iowr('D', 4, pfiocRule.size),
  DIOCGETRULES: iowr('D', 6, pfiocRule.size),
  DIOCGETRULENV: iowr('D', 7, pfiocNv.size),
  DIOCGETSTATUSNV: iowr('D', 21, pfiocNv.size),
  DIOCNATLOOK: iowr('D', 23, pfiocNatlook.size),
  DIOCCHANGERULE: iowr('D', 26, pfiocRule.size),
  DIOCGETLIMIT: iowr('D', 39, pfiocLimit.size),
  DIOCSETLIMIT: iowr('D', 40, pfiocLimit.size),
  DIOCKILLSTATESNV: iowr('D', 41, pfiocNv.size),
  DIOCBEGINADDRS: iowr('D', 51, pfiocPooladdr.size),
  DIOCADDADDR: iowr('D', 52, pfiocPooladdr.size),
  DIOCGETADDR: iowr('D', 54, pfiocPooladdr.size),
  DIOCGETRULESETS: iowr('D', 58, pfiocRuleset.size),
  DIOCGETRULESET: iowr('D', 59, pfiocRuleset.size),
  DIOCXBEGIN: iowr('D', 81, pfiocTrans.size),
  DIOCXCOMMIT: iowr('D', 82, pfiocTrans.size),
  DIOCXROLLBACK: iowr('D', 83, pfiocTrans.size),
  DIOCGETSTATESV2: iowr('D', 93, pfiocStatesV2.size),
} as const;

export type PfIoctl = keyof typeof pfIoctls;
