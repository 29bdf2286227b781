import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  linkSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { loadLibc } from '../../native-bindings/engine.ts';
import { connectUnixDatagram, unixAddress } from '../../native-bindings/unix-datagram.ts';
import { defaults } from '../../src/config/load.ts';
import { type LogLine, logLines, type Words } from '../../src/daemon/log/lines.ts';
import { createLog, type Log, type LogSettings } from '../../src/daemon/log/log.ts';
import { type LogSink, openLogSink, type Severity, syslogLine } from '../../src/daemon/log/sink.ts';
import type { Happening } from '../../src/inspector/happening.ts';
import { createClockDouble, pinhole } from './doubles.ts';

const directory = mkdtempSync(join(tmpdir(), 'pinholed-log-'));
after(() => rmSync(directory, { recursive: true }));

function setUp(changes: Partial<LogSettings> = {}, wantsTime = true) {
  const written: string[] = [];
  const severities: Severity[] = [];
  const counts = { reopened: 0 };
  const sink: LogSink = {
    wantsTime,
    write(line, severity) {
      written.push(line);
      severities.push(severity);
    },
    reopen: () => {
      counts.reopened++;
    },
    close: () => {},
  };
  const clock = createClockDouble();
  const settings = { ...defaults().log, ...changes };
  const log: Log = createLog(settings, sink, clock.now);
  return { log, written, severities, clock, settings, counts };
}

const trafficLine = (severity: Severity, text: string, fields: Words['fields'] = {}): LogLine => ({
  severity,
  isRefusal: false,
  words: () => ({ text, fields }),
});

describe('log', () => {
  it('writes one line of text: time, level, message', () => {
    const { log, written } = setUp();
    log.own.info('started');
    assert.match(written[0]!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info {2}started$/);
  });

  it('leaves the time to syslog', () => {
    const { log, written } = setUp({}, false);
    log.own.info('started');
    log.own.error('failed');
    assert.deepEqual(written, ['started', 'error: failed']);
  });

  it('writes JSON with the fields', () => {
    const { log, written } = setUp({ format: 'json' });
    log.traffic(trafficLine('warn', 'refused', { call: 'aa' }));
    const line = JSON.parse(written[0]!) as Record<string, unknown>;
    assert.deepEqual([line['level'], line['msg'], line['call']], [40, 'refused', 'aa']);
  });

  it('lets no control character through, in either format', () => {
    for (const format of ['text', 'json'] as const) {
      const { log, written } = setUp({ format });
      log.own.info('one\ntwo\r\x1b[31mred\x00\u2028\u202e\x9b');
      assert.match(written[0]!, /one(\\x0a|\\n)two/);
      assert.doesNotMatch(written[0]!, /[\x00-\x1f\x7f-\x9f\u2028-\u202e]/);
    }
    const { log, written } = setUp();
    log.own.info('one\u2028two\u202ethree\x9bfour');
    assert.match(written[0]!, /one\\u2028two\\u202ethree\\x9bfour$/);
  });

  it('has no more than log.rate lines of traffic a second, and says how many it left out', () => {
    const { log, written, clock } = setUp({ rate: 3 }, false);
    for (let one = 0; one < 10; one++) log.traffic(trafficLine('info', `line ${one}`));
    log.own.info('never left out');
    clock.pass(1000);
    log.traffic(trafficLine('info', 'next second'));
    assert.deepEqual(written, [
      'line 0',
      'line 1',
      'line 2',
      'never left out',
      'warn: 7 lines were left out: more than log.rate (3 a second)',
      'next second',
    ]);
  });

  it('has room for what opens and closes beside any number of refusals', () => {
    const { log, written } = setUp({ rate: 4 }, false);
    for (let i = 0; i < 100; i++) log.traffic({ ...trafficLine('warn', `refused ${i}`), isRefusal: true });
    log.traffic(trafficLine('info', 'opened'));
    log.traffic(trafficLine('info', 'closed'));
    assert.deepEqual(written, ['warn: refused 0', 'warn: refused 1', 'warn: refused 2', 'opened']);
  });

  it('takes a new level, format and rate, and opens its destination anew', () => {
    const { log, written, settings, counts } = setUp({}, false);
    log.traffic(trafficLine('debug', 'unseen'));
    log.reload({ ...settings, level: 'debug' });
    log.traffic(trafficLine('debug', 'seen'));
    assert.deepEqual(written, ['debug: seen']);
    assert.equal(counts.reopened, 1);
  });
});

/** As they are written. */
const inWords = (...about: Parameters<typeof logLines>) =>
  logLines(...about).map(({ severity, words }) => ({ severity, ...words() }));

describe('lines about calls', () => {
  const call = {
    legId: '00000000000000aa',
    callId: 'secret@pbx\r\n.example',
    parties: ['192.0.2.1', '10.0.0.5'],
    from: 'sip:alice@example.com\x1b[31m',
    to: 'sip:bob@example.com',
  } as const;
  const opened = (port: number): Happening => ({
    type: 'pinhole',
    what: 'opened',
    call,
    pinhole: pinhole(port),
    ...{ slot: '0:0', agreed: false, until: Number.POSITIVE_INFINITY },
    reason: null,
    openedAt: 1000,
    at: 1000,
  });
  const closed = (port: number): Happening => ({
    type: 'pinhole',
    what: 'closed',
    call,
    pinhole: pinhole(port),
    ...{ slot: '0:0', agreed: true, until: 66_200 },
    reason: 'bye',
    openedAt: 1000,
    at: 66_200,
  });
  const options = {
    callId: 'hashed',
    parties: 'hidden',
    observes: false,
    trafficOf: () => ({ packets: 1500, bytes: 258_000 }),
  } as const;

  it('are one for what a call opens at a time, one for what it closes', () => {
    const lines = inWords([opened(4000), opened(4002), closed(4000), closed(4002)], options);
    assert.deepEqual(
      lines.map(({ text }) => text),
      [
        'call 00000000000000aa: opened audio udp 192.0.2.10:4000-4001 from 198.51.100.1; ' +
          'audio udp 192.0.2.10:4002-4003 from 198.51.100.1',
        'call 00000000000000aa: closed audio udp 192.0.2.10:4000-4001; audio udp 192.0.2.10:4002-4003: ' +
          'bye, 3000 packets, 516000 bytes counted, 65.2 s',
      ],
    );
    assert.deepEqual(
      lines.map(({ severity }) => severity),
      ['info', 'info'],
    );
  });

  it('do not say 0 of what nobody counted', () => {
    const [line] = inWords([closed(4000)], { ...options, trafficOf: () => undefined });
    assert.match(line!.text, /: bye, not counted, 65\.2 s$/);
    assert.equal(line!.fields['packets'], null);
  });

  it('say what would be, where nothing is opened', () => {
    const observing = { ...options, observes: true, trafficOf: () => undefined };
    const lines = inWords([opened(4000), closed(4000)], observing);
    assert.deepEqual(
      lines.map(({ text }) => text),
      [
        'call 00000000000000aa: would open audio udp 192.0.2.10:4000-4001 from 198.51.100.1',
        'call 00000000000000aa: would close audio udp 192.0.2.10:4000-4001: bye, not counted, 65.2 s',
      ],
    );
  });

  it('keep calls apart', () => {
    const other = { ...opened(4002), call: { ...call, legId: '00000000000000bb' } } as Happening;
    assert.equal(inWords([opened(4000), other], options).length, 2);
  });

  it('name the Call-ID only when told to, with control characters escaped', () => {
    const [hashed] = inWords([opened(4000)], options);
    assert.doesNotMatch(JSON.stringify(hashed), /secret/);
    assert.equal(hashed!.fields['legId'], '00000000000000aa');
    const [plain] = inWords([opened(4000)], { ...options, callId: 'plain' });
    assert.match(plain!.text, /^call 00000000000000aa \(secret@pbx\\x0d\\x0a\.example\): opened/);
  });

  it('say who calls whom only when told to, in words and in fields', () => {
    const [hidden] = inWords([opened(4000)], { ...options, callId: 'plain' });
    assert.doesNotMatch(JSON.stringify(hidden), /alice|bob/);
    const named = { ...options, parties: 'plain' } as const;
    for (const [line] of [[opened(4000)], [closed(4000)]].map((one) => inWords(one, named))) {
      assert.match(line!.text, /^call 00000000000000aa \(alice > bob\): (opened|closed)/);
      assert.deepEqual([line!.fields['caller'], line!.fields['callee']], ['192.0.2.1', '10.0.0.5']);
      assert.equal(line!.fields['to'], 'sip:bob@example.com');
      assert.doesNotMatch(JSON.stringify(line), /secret/);
    }
    const [both] = inWords([opened(4000)], { ...named, callId: 'plain' });
    assert.match(both!.text, /^call 00000000000000aa \(secret@pbx\\x0d\\x0a\.example, alice > bob\): opened/);
  });

  it('give a refusal the weight it has', () => {
    const refused = (reason: 'not-inside' | 'port-out-of-range' | 'foreign-address'): Happening => ({
      type: 'refused',
      call,
      refusal: { reason, detail: 'audio 203.0.113.9:80' },
      transport: null,
      at: 0,
    });
    const lines = inWords(
      [refused('not-inside'), refused('port-out-of-range'), refused('foreign-address')],
      options,
    );
    assert.deepEqual(
      lines.map(({ severity }) => severity),
      ['debug', 'info', 'warn'],
    );
    assert.equal(lines[2]!.text, 'call 00000000000000aa: refused (foreign-address): audio 203.0.113.9:80');
  });

  it('name caller and callee where a bound is used up', () => {
    const [line] = inWords(
      [
        {
          ...{ type: 'refused', call },
          refusal: { reason: 'calls-per-host-limit', detail: '10.0.0.5 has 5 calls' },
          ...{ transport: null, at: 1 },
        },
      ],
      options,
    );
    assert.equal(
      line!.text,
      'call 00000000000000aa: refused (calls-per-host-limit): 10.0.0.5 has 5 calls; ' +
        'sip:alice@example.com\\x1b[31m (192.0.2.1) calls sip:bob@example.com (10.0.0.5)',
    );
    assert.equal(line!.fields['callee'], '10.0.0.5');
    assert.equal(line!.fields['to'], 'sip:bob@example.com');
  });
});

describe('log destinations', () => {
  it('append to a file of mode 0640, never through a link', async () => {
    const libc = await loadLibc();
    const file = join(directory, 'pinholed.log');
    writeFileSync(file, 'before\n');
    const sink = openLogSink(file as `/${string}`, libc, null);
    sink.write('one', 'info');
    sink.close();
    assert.equal(readFileSync(file, 'utf8'), 'before\none\n');
    const link = join(directory, 'link.log');
    symlinkSync(file, link);
    assert.throws(
      () => openLogSink(link as `/${string}`, libc, null),
      /log\.destination: .*link\.log cannot be opened: ELOOP/,
    );
    assert.throws(() => openLogSink('/dev/null', libc, null), /expected a regular file/);
  });

  it('are not a second name of a file, which may be one that only root may write', async () => {
    const libc = await loadLibc();
    const file = join(directory, 'precious');
    writeFileSync(file, 'before\n');
    const name = join(directory, 'second-name.log');
    linkSync(file, name);
    assert.throws(
      () => openLogSink(name as `/${string}`, libc, null),
      /expected one name for it, found 2 links/,
    );
    assert.equal(readFileSync(file, 'utf8'), 'before\n');
  });

  it('are made for the one who goes on writing, after a rotation too', {
    skip: process.geteuid?.() !== 0,
  }, async () => {
    const libc = await loadLibc();
    const file = join(directory, 'rotated.log');
    const sink = openLogSink(file as `/${string}`, libc, { name: 'nobody', uid: 65534, gid: 65534 });
    renameSync(file, `${file}.0`);
    sink.reopen();
    sink.close();
    assert.deepEqual([statSync(`${file}.0`).uid, statSync(file).uid], [65534, 65534]);
  });

  it('write syslog lines as RFC 3164 has them', () => {
    const at = new Date(2026, 1, 3, 4, 5, 6);
    assert.equal(syslogLine('started', 'info', at, 42), '<30>Feb  3 04:05:06 pinholed[42]: started');
    assert.equal(syslogLine('failed', 'error', at, 42), '<27>Feb  3 04:05:06 pinholed[42]: failed');
  });

  it('do without a reader of stderr', async () => {
    const module = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
    const script = `
      import { openLogSink } from ${module('../../src/daemon/log/sink.ts')};
      import { loadLibc } from ${module('../../native-bindings/engine.ts')};
      const sink = openLogSink('stderr', await loadLibc(), null);
      process.stdin.once('end', () => {
        for (let line = 0; line < 1000; line++) sink.write('nobody reads this', 'info');
        process.exit(7);
      }).resume();`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['pipe', 'inherit', 'pipe'],
    });
    const exit = new Promise((resolve) => child.on('exit', resolve));
    child.stderr.destroy();
    child.stdin.end();
    assert.equal(await exit, 7);
  });
});

describe('unix datagram socket', () => {
  it('sends one datagram at a time and says what went wrong', async () => {
    const libc = await loadLibc();
    const path = join(directory, 'socket');
    const address = unixAddress(libc.platform.system, path);
    const server = libc.check('socket', libc.socket(1, 2, 0));
    libc.check('bind', libc.bind(server, address, address.length));
    const socket = connectUnixDatagram(libc, path);
    assert.equal(socket.send(Buffer.from('one')), null);
    const received = Buffer.alloc(16);
    assert.equal(received.toString('latin1', 0, libc.recv(server, received, 16, 0)), 'one');
    let failure: string | null = null;
    while (failure === null) failure = socket.send(Buffer.alloc(1000));
    assert.match(failure, /^(EAGAIN|ENOBUFS)$/);
    libc.close(server);
    assert.equal(socket.send(Buffer.from('two')), 'ECONNREFUSED');
    socket.close();
    assert.throws(() => connectUnixDatagram(libc, join(directory, 'nobody')), /ENOENT/);
  });
});

describe('unix datagram address', () => {
  it('is struct sockaddr_un of the system', () => {
    assert.deepEqual(unixAddress('linux', '/dev/log'), Buffer.from('\x01\x00/dev/log\0', 'latin1'));
    assert.deepEqual(unixAddress('linux', '@abstract'), Buffer.from('\x01\x00\0abstract', 'latin1'));
    assert.deepEqual(unixAddress('freebsd', '/var/run/log'), Buffer.from('\x0f\x01/var/run/log\0', 'latin1'));
    assert.throws(() => unixAddress('freebsd', 'x'.repeat(104)), RangeError);
  });
});
