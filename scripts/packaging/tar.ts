import { Buffer } from 'node:buffer';

/** One member of an archive. A directory has no content. */
export interface TarMember {
  /** At most 255 bytes; a slash stands where it has to be cut into a prefix of 155 and a name of 100. */
  readonly path: string;
  readonly content: Buffer | null;
  /** Permission bits. */
  readonly mode: number;
  readonly owner: string;
  readonly group: string;
  /** Seconds since the epoch. */
  readonly modified: number;
}

const BLOCK = 512;
const NAME = 100;
const PREFIX = 155;

/**
 * A POSIX ustar archive (IEEE Std 1003.1, pax, "ustar Interchange Format"). Owners are written by name, their numbers
 * as 0. Throws a RangeError for a path that has no place in a header.
 */
export function tarArchive(members: readonly TarMember[]): Buffer {
  const blocks = members.flatMap((member) => {
    const content = member.content ?? Buffer.alloc(0);
    return [header(member, content.length), content, Buffer.alloc(-content.length & (BLOCK - 1))];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

function header(member: TarMember, size: number): Buffer {
  const directory = member.content === null;
  const [prefix, name] = split(directory ? `${member.path}/` : member.path);
  const block = Buffer.alloc(BLOCK);
  block.write(name, 0);
  octal(block, member.mode, 100, 8);
  octal(block, 0, 108, 8);
  octal(block, 0, 116, 8);
  octal(block, size, 124, 12);
  octal(block, member.modified, 136, 12);
  block.fill(0x20, 148, 156);
  block.write(directory ? '5' : '0', 156);
  block.write('ustar\x0000', 257);
  block.write(member.owner, 265, 31);
  block.write(member.group, 297, 31);
  block.write(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function octal(block: Buffer, value: number, at: number, width: number): void {
  block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at);
}

/** Prefix and name, which a reader joins with a slash. */
function split(path: string): [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= NAME) return ['', path];
  for (let at = path.indexOf('/', 1); at !== -1; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    if (name !== '' && Buffer.byteLength(name) <= NAME && Buffer.byteLength(prefix) <= PREFIX)
      return [prefix, name];
  }
  throw new RangeError(`no place in a tar header: ${path}`);
}
