import { parentPort } from 'node:worker_threads';
import { loadLibc } from '../../native-bindings/engine.ts';
import { openNetlink } from '../../native-bindings/linux/netlink.ts';
import { nftBatch } from '../../native-bindings/linux/nftables.ts';
import { effectiveCapabilities } from '../../native-bindings/linux/privileges.ts';

const libc = await loadLibc();
const batch = nftBatch(openNetlink(libc));
batch.deleteTable('pinholed_test');
batch.commit();
parentPort?.postMessage({ capabilities: effectiveCapabilities(libc), changed: true });
