// Starts a TypeScript module in a worker: a loader that Node was started with does not reach into workers.
import { workerData } from 'node:worker_threads';

if (process.versions['bun'] === undefined) (await import('tsx/esm/api')).register();
await import(workerData);
