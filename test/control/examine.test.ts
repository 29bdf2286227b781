import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { defaults, type Settings } from '../../src/config/load.ts';
import { createAlarmBoard } from '../../src/control/alarms.ts';
import { examineDaemon } from '../../src/control/examine.ts';
import { RequestError, type VerifyResult } from '../../src/control/protocol.ts';
import { createHandlers } from '../../src/control/service.ts';
import { type InProcess, startInProcess } from './in-process.ts';
import { scratch, serve } from './socket.ts';

const settingsWith = (run: { readonly settings: Settings }, socket: string): Settings => ({
  ...run.settings,
  control: { ...run.settings.control, socket },
});

const handlersOf = ({ daemon }: InProcess) => createHandlers(daemon, () => [null, null], createAlarmBoard());

describe('the running daemon, looked at by doctor', () => {
  it('is well, or what is wrong with it has advice', async () => {
    const run = startInProcess();
    const server = await serve(handlersOf(run));
    run.settings = settingsWith(run, server.path);
    const found = await examineDaemon(run.settings);
    assert.deepEqual(
      found.map(({ check, level }) => [check, level]),
      ['running', 'version', 'mode', 'sip-seen', 'alarms', 'settings', 'rules'].map((check) => [check, 'ok']),
    );
    assert.match(found[0]!.text, /^the daemon runs, pid \d+, user _pinholed$/);
    assert.match(found[2]!.text, /^fail closed, on a firewall error pass, /);
    run.inspector.stats.refusals.set('calls-limit', 3);
    const [, , , , alarm] = await examineDaemon(run.settings);
    assert.deepEqual(alarm, {
      check: 'alarms',
      level: 'caution',
      text: '3 times refused for calls-limit',
      advice: 'Raise caps.calls if the load is honest.',
    });
    server.stop();
  });

  it('has seen SIP in both directions, or says what is missing', async () => {
    const run = startInProcess();
    const server = await serve(handlersOf(run));
    run.settings = settingsWith(run, server.path);
    const seen = async () => (await examineDaemon(run.settings)).find(({ check }) => check === 'sip-seen')!;
    assert.deepEqual(
      [(await seen()).level, (await seen()).text],
      ['ok', 'no SIP has come so far; it has just begun'],
    );
    const { inside, outside } = run.inspector.stats.heard;
    inside.requests = 15;
    outside.requests = 5;
    const half = await seen();
    assert.equal(half.level, 'caution');
    assert.equal(half.text, '15 SIP messages of inside hosts, 5 of others: 20 requests, not one response');
    outside.responses = 1;
    assert.equal((await seen()).level, 'ok');
    server.stop();
  });

  it('says that no SIP comes, once it has been waited for long enough', async () => {
    const run = startInProcess();
    const about = { ...run.daemon.about, startedAt: Date.now() - 600_000 };
    const daemon = { ...run.daemon, about };
    const server = await serve(createHandlers(daemon, () => [null, null], createAlarmBoard()));
    const found = await examineDaemon(settingsWith(run, server.path));
    const seen = found.find(({ check }) => check === 'sip-seen')!;
    assert.deepEqual([seen.level, seen.text], ['caution', 'no SIP has come in 10 minutes']);
    server.stop();
  });

  it('works with other settings than these: to be read again, or only after a restart', async () => {
    const run = startInProcess();
    const server = await serve(handlersOf(run));
    run.settings = settingsWith(run, server.path);
    const settings = async (changes: Partial<Settings>) =>
      (await examineDaemon({ ...run.settings, ...changes })).find(({ check }) => check === 'settings')!;
    const strict = await settings({ strict: true });
    assert.deepEqual(
      [strict.level, strict.text],
      ['caution', 'the daemon works with other settings, of its defaults: strict (false, here true)'],
    );
    assert.match(strict.advice, /reload/);
    const queue = await settings({ linux: { ...run.settings.linux, queue: 3 } });
    assert.equal(queue.advice, 'restart the daemon');
    server.stop();
  });

  it('does not find its rules in the packet filter', async () => {
    const run = startInProcess();
    const verify = async (): Promise<VerifyResult> => ({
      ...{ pinholes: 2, rules: 4, missing: 1, unexpected: 1, examples: ['- a', '+ b'] },
    });
    const server = await serve({ ...handlersOf(run), verify });
    const found = await examineDaemon(settingsWith(run, server.path));
    const rules = found.find(({ check }) => check === 'rules')!;
    assert.deepEqual(
      [rules.level, rules.text],
      ['fault', '2 pinholes are open; rules missing (-): 1, rules that should not be there (+): 1: - a, + b'],
    );
    assert.match(rules.advice, /find out who/);
    server.stop();
  });

  it('does not know a question, or has no answer: the rest is told all the same', async () => {
    const run = startInProcess();
    const verify = async () => {
      throw new RequestError('unavailable', 'the packet filter cannot be read: EPERM');
    };
    const { settings: _, ...handlers } = { ...handlersOf(run), verify };
    const server = await serve(handlers);
    const found = await examineDaemon(settingsWith(run, server.path));
    assert.deepEqual(
      found.slice(-2).map(({ check, level }) => [check, level]),
      [
        ['settings', 'unknown'],
        ['rules', 'unknown'],
      ],
    );
    assert.match(found.at(-2)!.advice, /of another version/);
    assert.match(found.at(-1)!.text, /EPERM/);
    server.stop();
  });

  it('is not running', async () => {
    const directory = scratch();
    const socket = join(directory.path, 'none');
    const found = await examineDaemon(settingsWith({ settings: defaults() }, socket));
    assert.deepEqual(
      found.map(({ check, level }) => [check, level]),
      [['running', 'caution']],
    );
    assert.match(found[0]!.advice, /^start it/);
    directory.remove();
  });
});
