/** 72 simulated hours of calls with reloads and kills (lab/soak.ts), and the heap before and after. Seed and hours may be given. */
import { soak } from '../lab/soak.ts';

const [seed = 1, hours = 72, callsPerHour = 500, reloads = 6, kills = 6] = process.argv.slice(2).map(Number);

function heap(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

soak({ seed, hours: 1, callsPerHour, reloads, kills });
const before = heap();
const result = soak({ seed, hours, callsPerHour, reloads, kills });
const after = heap();
console.log(JSON.stringify({ seed, hours, callsPerHour, ...result }, null, 2));
console.log(`heap before ${before.toFixed(1)} MiB, after ${after.toFixed(1)} MiB`);
