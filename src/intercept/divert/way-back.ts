import { PF_IN } from '../../../native-bindings/freebsd/constants.ts';

/** Interfaces of the machine, as `native-bindings` has them. */
interface InterfaceSource {
  names(): string[];
  mtu(name: string): number | null;
}

/** What was changed in a packet's sixteen bytes so that it gets where it was going. */
type Correction = 'none' | 'no-ipv4' | 'long-name' | 'oversize-ipv6' | 'no-way-back';

/** Where the members of struct sockaddr_in lie; `sin_port` holds pf's direction in host order. */
const SIN_PORT = 2;
const SIN_ADDR = 4;
const SIN_ZERO = 8;
/** A name of as many characters may be the beginning of a longer one. */
const NAME_MAX = 7;
/** ms after which the list of interfaces is asked for again. */
const FRESH = 5000;
const DEFAULT_MTU = 1500;

/** What of an interface's name in `sin_zero` the kernel can make use of. */
interface Name {
  /** No other interface can be meant by it. */
  readonly certain: boolean;
  readonly mtu: number;
}

interface WayBack {
  /**
   * Makes `address` (the sixteen bytes that came with `packet`) one that puts the packet back. Only packets that
   * were on their way in need it. `now` is in ms.
   *
   * - An interface's name is cut after seven characters, and `igb0.100` given back as `igb0.10` enters through
   *   another VLAN: the name is cleared, the address of the interface decides.
   * - An interface without IPv4 leaves the address 0.0.0.0, which means "out": any other address will do beside
   *   a name.
   * - IPv6 larger than the interface takes was put together by pf, which knows of that no longer when it comes
   *   back, and answers "too big": given back as on its way out, it is cut again.
   */
  correct(address: Buffer, packet: Buffer, now: number): Correction;
}

export function createWayBack(interfaces: InterfaceSource): WayBack {
  let names: readonly string[] = [];
  let known = new Map<string, Name>();
  let askedAt = Number.NEGATIVE_INFINITY;

  function lookUp(name: string, now: number): Name {
    if (now - askedAt > FRESH) {
      askedAt = now;
      known = new Map();
      try {
        names = interfaces.names();
      } catch {
        // The list of before is as good as any.
      }
    }
    const found = known.get(name) ?? describe(name);
    known.set(name, found);
    return found;
  }

  function describe(name: string): Name {
    const longer = name.length >= NAME_MAX && names.some((one) => one !== name && one.startsWith(name));
    const certain = !longer && (name.length < NAME_MAX || names.includes(name));
    const candidates = names.filter((one) => (longer ? one.startsWith(name) : one === name));
    const mtus = candidates.flatMap((one) => interfaces.mtu(one) ?? []);
    return { certain, mtu: mtus.length === 0 ? DEFAULT_MTU : Math.max(...mtus) };
  }

  return {
    correct(address, packet, now) {
      if (address.readUInt16LE(SIN_PORT) !== PF_IN) return 'none';
      const name = nameIn(address);
      const oversize = isIPv6(packet) && packet.length > lookUp(name, now).mtu;
      if (oversize) {
        address.fill(0, SIN_ADDR, SIN_ADDR + 4);
        return 'oversize-ipv6';
      }
      const hasAddress = address.readUInt32LE(SIN_ADDR) !== 0;
      if (name.length >= NAME_MAX && !lookUp(name, now).certain) {
        address.fill(0, SIN_ZERO);
        return hasAddress ? 'long-name' : 'no-way-back';
      }
      if (hasAddress) return 'none';
      if (name === '') return 'no-way-back';
      address.set([127, 0, 0, 1], SIN_ADDR);
      return 'no-ipv4';
    },
  };
}

/** What a packet's sixteen bytes say of the interface it came in through: at most seven characters of its name. */
export function interfaceIn(address: Buffer): string | null {
  const name = nameIn(address);
  return name === '' ? null : name;
}

function nameIn(address: Buffer): string {
  let end = SIN_ZERO;
  while (end < SIN_ZERO + NAME_MAX && address[end] !== 0) end++;
  return address.toString('latin1', SIN_ZERO, end);
}

function isIPv6(packet: Buffer): boolean {
  return packet.length > 0 && packet[0]! >> 4 === 6;
}
