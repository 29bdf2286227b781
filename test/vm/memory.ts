/**
 * Not a test: memory of the daemon on the FreeBSD machine, idle and with 100 calls that are up, each with four pinholes'
 * worth of audio (RTP and RTCP, both ways): `node --import tsx test/vm/memory.ts`.
 */
import { talk, turn, udp } from '../../lab/steps.ts';
import { sip } from '../scene.ts';
import { startDaemon } from './daemon.ts';
import { ADDRESSES, type Guest, withoutGuest } from './guest.ts';
import { describeMedia, openLab, pauseFor } from './lab.ts';
import { CONFIG, ruleset } from './ruleset.ts';

if (withoutGuest !== false) {
  console.error(withoutGuest);
  process.exit(1);
}

/** A disk of the machine (`/dev/vtbd2`) whose file system has the executable, `pinholed`, to run it from; the copy otherwise. */
const DISK = process.env['PINHOLED_VM_EXECUTABLE_DISK'];
const CALLS = Number(process.env['PINHOLED_VM_CALLS'] ?? 100);
/** ms in which what a start leaves behind is given back. */
const REST = 30_000;
const WITHIN = 600_000;

const lab = await openLab();
try {
  const { guest, outside, inside } = lab;
  // What has just been written is in memory as a whole, and is mapped so; after a boot it is read as it is wanted.
  if (DISK !== undefined)
    await guest.run(`mount -r ${DISK} /mnt && ln -sf /mnt/pinholed ${guest.files}/pinholed`);
  console.log(`before the start\n${await system(guest)}`);
  const daemon = await startDaemon(guest, CONFIG, ruleset(guest));
  await pauseFor(REST);
  console.log(`idle\n${await processes(guest)}`);
  const at = (side: 'outside' | 'inside', port: number) => ({ address: ADDRESSES[side][4], port });
  await outside.run([udp('sip', at('outside', 5060))]);
  await inside.run([udp('sip', at('inside', 5060))]);
  const calls = Array.from({ length: CALLS }, (_, index) => {
    const callId = `memory-${index}@example.com`;
    const [caller, callee] = [at('outside', 20_000 + 4 * index), at('inside', 20_002 + 4 * index)];
    const invite = sip('INVITE', { callId, body: describeMedia(caller) });
    const ok = sip('200 INVITE', { callId, to: 'b', body: describeMedia(callee) });
    const ack = sip('ACK', { callId, to: 'b' });
    return {
      asks: [
        turn(null, [['sip', at('inside', 5060), invite]], ok),
        turn(ok, [['sip', at('inside', 5060), ack]], null),
      ],
      answers: turn(invite, [['sip', at('outside', 5060), ok]], null),
    };
  });
  await Promise.all([
    inside.run([
      talk(
        'sip',
        calls.map(({ answers }) => answers),
        WITHIN,
      ),
    ]),
    outside.run([
      talk(
        'sip',
        calls.flatMap(({ asks }) => asks),
        WITHIN,
      ),
    ]),
  ]);
  await pauseFor(REST);
  console.log(`${CALLS} calls, ${(await lab.pinholes()).length} rules\n${await processes(guest)}`);
  await daemon.stop();
} finally {
  await lab.close();
}

/** The machine's pages, in MB. */
function system({ run }: Guest): Promise<string> {
  return run(
    `for k in free active inactive laundry wire; do ` +
      `echo "$k $(($(sysctl -n vm.stats.vm.v_\${k}_count) * $(sysctl -n hw.pagesize) / 1048576)) MB"; done | tr '\\n' ' '; echo`,
  );
}

/** kB of each process as ps(1) has it, and by procstat(1) those of the executable, of libraries, and its own. */
async function processes(guest: Guest): Promise<string> {
  const each = await guest.run(
    `for p in $(pgrep -f 'pinholed run'); do ps -ww -o pid,ppid,rss,command -p $p | tail -1; ` +
      `procstat -v $p | awk -v k=$(($(sysctl -n hw.pagesize) / 1024)) ` +
      `'$NF ~ /pinholed$/ {f += $5; next} $NF ~ /^\\// {l += $5; next} NR > 1 {a += $5} ` +
      `END {print "  executable " f * k ", libraries " l * k ", its own " a * k " kB"}'; done; true`,
  );
  return `${each}${await system(guest)}`;
}
