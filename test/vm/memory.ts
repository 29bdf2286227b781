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

const CALLS = Number(process.env['PINHOLED_VM_CALLS'] ?? 100);
/** ms in which what a start leaves behind is given back. */
const REST = 30_000;
const WITHIN = 600_000;

const lab = await openLab();
try {
  const { guest, outside, inside } = lab;
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

/** kB of each process, as ps(1) has it, and what is the machine's. */
function processes({ run, files }: Guest): Promise<string> {
  return run(
    `ps -axo pid,ppid,rss,vsz,command | grep '[p]inholed run'; sysctl hw.physmem vm.stats.vm.v_free_count vm.stats.vm.v_page_size; ` +
      `for p in $(pgrep -f '${files}/pinholed run'); do procstat -v $p 2>/dev/null | awk 'NR>1{r+=$5; if ($NF ~ /pinholed$/) f+=$5} END{print "pages resident", r, "of the executable", f}'; done; true`,
  );
}
