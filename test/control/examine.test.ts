import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { examineDaemon } from '../../src/control/examine.ts';
import { createHandlers } from '../../src/control/service.ts';
import { startInProcess } from './in-process.ts';
import { scratch, serve } from './socket.ts';

describe('the running daemon, looked at by doctor', () => {
  it('is well, or what is wrong with it has advice', async () => {
    const run = startInProcess();
    const server = await serve(createHandlers(run.daemon, () => ({ packets: 0, bytes: 0 })));
    const settings = { control: { socket: server.path, group: null, mode: 0o600 } };
    const [finding, ...more] = await examineDaemon(settings);
    assert.equal(finding!.level, 'ok');
    assert.match(finding!.text, /^pinholed \S+ runs, pid \d+$/);
    assert.deepEqual(more, []);
    run.inspector.stats.refusals.set('calls-limit', 3);
    const [, alarm] = await examineDaemon(settings);
    assert.deepEqual(alarm, {
      level: 'caution',
      text: '3 times refused for calls-limit',
      advice: 'Raise caps.calls if the load is honest.',
    });
    server.stop();
  });

  it('is not running', async () => {
    const directory = scratch();
    const socket = join(directory.path, 'none');
    const [finding] = await examineDaemon({ control: { socket, group: null, mode: 0o600 } });
    assert.equal(finding!.level, 'caution');
    assert.match(finding!.advice, /^Start it/);
    directory.remove();
  });
});
