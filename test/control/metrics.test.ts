import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { describe, it } from 'node:test';
import type { StaticMedia } from '../../src/address/static-media.ts';
import { REFUSALS } from '../../src/call/refusal.ts';
import { createAlarmBoard } from '../../src/control/alarms.ts';
import { keepExemplars } from '../../src/control/exemplars.ts';
import { METRICS, type MetricsFormat, metricsText } from '../../src/control/metrics.ts';
import { formatFor, openMetrics, openMetricsServer } from '../../src/control/metrics-http.ts';
import { tcpPacket } from '../packets.ts';
import { host, networks, sdp, sip } from '../scene.ts';
import { alice, bob, startInProcess } from './in-process.ts';

interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: {
    readonly name: string;
    readonly labels: Record<string, string>;
    readonly value: number;
  }[];
}

/** Prometheus' text format 0.0.4, as far as it is used here. Throws on a line that is none of it. */
function parse(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  let help = '';
  let current: Family | null = null;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    if (comment?.[1] === 'HELP') help = comment[3]!;
    else if (comment?.[1] === 'TYPE') {
      current = { type: comment[3]!, help, samples: [] };
      families.set(comment[2]!, current);
    } else {
      const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.e+-]+|[+-]Inf|Nan)$/.exec(line);
      assert.ok(sample, `not a sample: ${line}`);
      assert.ok(current);
      const labels: Record<string, string> = {};
      for (const [, name, value] of (sample[2] ?? '').matchAll(
        /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/g,
      )) {
        labels[name!] = value!;
      }
      current.samples.push({
        name: sample[1]!,
        labels,
        value: Number(sample[3]!.replace('+Inf', 'Infinity')),
      });
    }
  }
  return families;
}

const TRUNK: StaticMedia = {
  name: 'trunk',
  peers: networks('203.0.113.7'),
  mediaFrom: ['203.0.113.8'],
  hosts: [bob.address],
  ports: [[10_000, 10_099]],
};

async function measured(): Promise<Map<string, Family>> {
  const run = startInProcess({ staticMedia: [TRUNK] });
  for (const [index, callId] of ['one', 'two', 'three'].entries()) {
    run.send(alice, bob, sip('INVITE', { callId, body: sdp(alice.address, [6000]) }));
    run.send(bob, alice, sip('200 INVITE', { callId, to: 'b', body: sdp(bob.address, [4000 + 2 * index]) }));
  }
  run.wait(5000);
  return parse(
    await metricsText({
      status: await run.daemon.ask({ type: 'status' }),
      daemon: run.daemon,
      board: createAlarmBoard(),
      exemplars: null,
      blocked: { total: () => 0 },
    }),
  );
}

const value = (families: Map<string, Family>, name: string, labels: Record<string, string> = {}) =>
  families
    .get(name)!
    .samples.find((one) => Object.entries(labels).every(([key, text]) => one.labels[key] === text))!.value;

describe('metrics', () => {
  it('are what happened', async () => {
    const families = await measured();
    assert.equal(value(families, 'pinholed_calls'), 3);
    assert.equal(value(families, 'pinholed_calls_started_total'), 3);
    assert.equal(value(families, 'pinholed_pinholes'), 3);
    assert.equal(value(families, 'pinholed_open_ports'), 6);
    assert.equal(value(families, 'pinholed_packets_received_total'), 6);
    assert.equal(value(families, 'pinholed_sip_messages_total', { transport: 'udp' }), 6);
    assert.equal(value(families, 'pinholed_sip_messages_by_method_total', { method: 'INVITE' }), 6);
    assert.equal(value(families, 'pinholed_refusals_total', { reason: 'not-inside' }), 3);
    assert.equal(value(families, 'pinholed_platform_events_total', { event: 'queueFull' }), 0);
    // Opened 4 and 2 ms before the last packet and with it; then 5 s.
    const open = 2 * (5.004 + 5.002 + 5);
    assert.ok(Math.abs(value(families, 'pinholed_open_port_seconds_total') - open) < 1e-9);
  });

  it('have how many peers of static-media are there, by entry, from the start', async () => {
    const labels = { entry: 'trunk' };
    assert.equal(value(await measured(), 'pinholed_static_media_peers', labels), 0);
    const run = startInProcess({ staticMedia: [TRUNK], sipPorts: [[5061, 5061]] });
    const [pbx, peer] = [host(bob.address, 5061), host('203.0.113.7', 40_000)];
    const serverHello = Buffer.from('160303007a0200007603038e', 'hex');
    run.inspector.inspect(tcpPacket(pbx, peer, { seq: 1, payload: serverHello }), run.now);
    const text = await metricsText({
      status: await run.daemon.ask({ type: 'status' }),
      daemon: run.daemon,
      board: createAlarmBoard(),
      exemplars: null,
      blocked: { total: () => 0 },
    });
    const families = parse(text);
    assert.equal(value(families, 'pinholed_static_media_peers', labels), 1);
    assert.equal(value(families, 'pinholed_static_media_ports', labels), 2 * 100);
  });

  it('name in OpenMetrics the call that was counted last, as far as the log may have its names', async () => {
    const run = startInProcess();
    const exemplars = keepExemplars(run.daemon, () => 0);
    const callId = `${'c'.repeat(200)}@pbx`;
    run.send(alice, bob, sip('INVITE', { callId, body: sdp(alice.address, [6000]) }));
    const text = async (format: MetricsFormat) =>
      metricsText(
        {
          status: await run.daemon.ask({ type: 'status' }),
          daemon: run.daemon,
          board: createAlarmBoard(),
          exemplars,
          blocked: { total: () => 0 },
        },
        format,
      );
    const STARTED = /^pinholed_calls_started_total 1 # \{([^}]*)\} 1 [0-9.]+$/m;
    const labels = async () => STARTED.exec(await text('openmetrics'))?.[1] ?? '';
    assert.match(await labels(), /^leg_id="[0-9a-f]{16}"$/);
    const { log } = run.settings;
    run.settings = { ...run.settings, log: { ...log, parties: 'plain', callId: 'plain' } };
    assert.match(await labels(), /^leg_id="[0-9a-f]{16}",caller="alice",callee="bob",call_id="c+\.\.\."$/);
    assert.ok((await labels()).replace(/[=",]/g, '').length <= 128, 'OpenMetrics 1.0, 4.6.1');
    const open = await text('openmetrics');
    assert.match(open, /^# TYPE pinholed_calls_started counter$/m);
    assert.match(open, /^pinholed_refusals_total\{reason="not-inside"\} 1 # \{leg_id=/m);
    assert.match(open, /^pinholed_refusals_total\{reason="port-taken"\} 0$/m);
    assert.ok(open.endsWith('\n# EOF\n'));
    assert.doesNotMatch(await text('prometheus'), /leg_id|EOF/);
    exemplars.close();
    assert.equal(run.listeners, 0);
  });

  it('have every reason of a refusal, also those at 0', async () => {
    const families = await measured();
    const reasons = families.get('pinholed_refusals_total')!.samples.map(({ labels }) => labels['reason']);
    assert.deepEqual(reasons, Object.keys(REFUSALS));
  });

  it('have histograms as Prometheus wants them', async () => {
    const families = await measured();
    for (const [name, count] of [
      ['pinholed_inspection_duration_seconds', 6],
      ['pinholed_commit_duration_seconds', 3],
    ] as const) {
      const { type, samples } = families.get(name)!;
      assert.equal(type, 'histogram');
      const buckets = samples.filter((one) => one.name === `${name}_bucket`);
      const bounds = buckets.map(({ labels }) => Number(labels['le']!.replace('+Inf', 'Infinity')));
      assert.deepEqual(
        bounds,
        [...bounds].sort((a, b) => a - b),
      );
      assert.equal(bounds.at(-1), Number.POSITIVE_INFINITY);
      const counts = buckets.map((bucket) => bucket.value);
      assert.deepEqual(
        counts,
        [...counts].sort((a, b) => a - b),
        'cumulative',
      );
      assert.equal(counts.at(-1), count);
      assert.equal(samples.find((one) => one.name === `${name}_count`)!.value, count);
      assert.ok(samples.some((one) => one.name === `${name}_sum`));
    }
  });

  it('have names by the conventions: base units, _total for counters alone, help', async () => {
    const families = await measured();
    assert.deepEqual([...families.keys()].sort(), METRICS.map(({ name }) => name).sort());
    const openMetrics = METRICS.map(({ name, type }) =>
      type === 'counter' ? name.replace(/_total$/, '') : name,
    );
    assert.equal(new Set(openMetrics).size, METRICS.length, 'families of OpenMetrics');
    for (const [name, { type, help }] of families) {
      assert.match(name, /^(pinholed|process)_[a-z_]+$/);
      assert.equal(name.endsWith('_total'), type === 'counter', `${name} is a ${type}`);
      assert.ok(help.length > 10, name);
      if (type === 'histogram') assert.match(name, /_(seconds|bytes)$/);
      assert.doesNotMatch(name, /_(ms|milliseconds|minutes|kb|kilobytes|count|sum|bucket)(_|$)/);
    }
  });
});

describe('the dashboard', () => {
  const file = new URL('../../packaging/grafana/pinholed.json', import.meta.url);
  interface Panel {
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  }
  const dashboard = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly panels: readonly Panel[];
    readonly templating: { readonly list: readonly { readonly definition?: string }[] };
  };
  const WORDS = new Set(
    ['sum', 'min', 'rate', 'by', 'on', 'group_left', 'time', 'histogram_quantile', 'instance'].concat(
      ...['le', 'method', 'transport', 'reason', 'code', 'event', 'entry', '__rate_interval', 'label_values'],
    ),
  );
  const expressions = dashboard.panels.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => ({ title, expr })),
  );

  it('asks for nothing that does not exist, and for labels that do', async () => {
    const families = await measured();
    const names = new Set<string>();
    for (const [name, { type, samples }] of families) {
      assert.ok(samples.length > 0, `${name} has a value from the start`);
      const ends = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      for (const end of ends) names.add(name + end);
    }
    const labels = new Set(
      [...families.values()].flatMap(({ samples }) => samples.flatMap((one) => Object.keys(one.labels))),
    );
    assert.ok(expressions.length > 20);
    for (const { title, expr } of expressions) {
      for (const [word] of expr.replace(/"[^"]*"/g, '').matchAll(/[a-zA-Z_][a-zA-Z0-9_]*/g)) {
        assert.ok(names.has(word) || WORDS.has(word), `${title}: ${word} in ${expr}`);
      }
      for (const [, list] of expr.matchAll(/by \(([a-z, ]+)\)/g)) {
        for (const label of list!.split(', ')) assert.ok(labels.has(label), `${title}: label ${label}`);
      }
    }
    for (const { definition } of dashboard.templating.list) {
      const name = /label_values\((\w+),/.exec(definition ?? '')?.[1];
      if (definition !== undefined) assert.ok(names.has(name!), definition);
    }
  });

  it('shows everything that is measured', () => {
    const shown = expressions.map(({ expr }) => expr).join('\n');
    for (const { name } of METRICS) assert.match(shown, new RegExp(`\\b${name}(_bucket)?\\{`));
  });

  it('takes the rate of every counter, and of nothing else', async () => {
    const families = await measured();
    for (const { title, expr } of expressions) {
      for (const [, before, name] of expr.matchAll(/(rate\()?\b((?:pinholed|process)_\w+)/g)) {
        const family = families.get(name!.replace(/_(bucket|sum|count)$/, '')) ?? families.get(name!);
        const grows = family!.type !== 'gauge';
        const isTotal = name === 'pinholed_bytes_modified_total';
        assert.equal(before !== undefined, grows && !isTotal, `${title}: ${name}`);
      }
    }
  });

  it('has panels that do not lie on each other', () => {
    const cells = new Set<string>();
    for (const { title, gridPos } of dashboard.panels) {
      assert.ok(gridPos.x + gridPos.w <= 24, title);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.ok(!cells.has(`${x} ${y}`), title);
          cells.add(`${x} ${y}`);
        }
      }
    }
  });
});

describe('metrics over HTTP', () => {
  interface Answer {
    readonly status: number | undefined;
    readonly type: string | undefined;
    readonly body: string;
  }

  function get(
    port: number,
    path: string,
    method = 'GET',
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asking = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode, type: response.headers['content-type'], body }),
        );
      });
      asking.on('error', reject);
      asking.end();
    });
  }

  const listen = { address: '127.0.0.1', port: 0 };

  it('are at /metrics, and nothing else is there', async () => {
    const server = await openMetricsServer(listen, async () => 'text\n');
    try {
      assert.deepEqual(await get(server.port, '/metrics'), {
        status: 200,
        type: 'text/plain; version=0.0.4; charset=utf-8',
        body: 'text\n',
      });
      assert.equal((await get(server.port, '/metrics?x=1')).status, 200);
      assert.equal((await get(server.port, '/metrics', 'HEAD')).body, '');
      assert.equal((await get(server.port, '/')).status, 404);
      assert.equal((await get(server.port, '/metrics/../x')).status, 404);
      assert.equal((await get(server.port, '/metrics', 'POST')).status, 405);
    } finally {
      server.close();
    }
  });

  it('are in the format that is asked for', async () => {
    for (const [accept, format] of [
      [undefined, 'prometheus'],
      ['*/*', 'prometheus'],
      ['text/plain;version=0.0.4', 'prometheus'],
      ['application/openmetrics-text;q=0, text/plain', 'prometheus'],
      ['application/openmetrics-text', 'openmetrics'],
      // What Prometheus 2.53 sends.
      [
        'application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
        'openmetrics',
      ],
    ] as const) {
      assert.equal(formatFor(accept), format, accept);
    }
    const server = await openMetricsServer(listen, async (format) => format);
    try {
      const headers = { accept: 'application/openmetrics-text' };
      const { type, body } = await get(server.port, '/metrics', 'GET', headers);
      assert.deepEqual(
        [type, body],
        ['application/openmetrics-text; version=1.0.0; charset=utf-8', 'openmetrics'],
      );
      assert.equal((await get(server.port, '/metrics')).body, 'prometheus', 'each kept on its own');
    } finally {
      server.close();
    }
  });

  it('are asked for once for all who come within a second', async () => {
    let asked = 0;
    const server = await openMetricsServer(listen, async () => String(++asked));
    try {
      const answers = await Promise.all(Array.from({ length: 8 }, () => get(server.port, '/metrics')));
      assert.deepEqual(new Set(answers.map(({ body }) => body)), new Set(['1']));
    } finally {
      server.close();
    }
  });

  it('are not there when the data path does not answer', async () => {
    const server = await openMetricsServer(listen, () => Promise.reject(new Error('secret')));
    try {
      const { status, body } = await get(server.port, '/metrics');
      assert.equal(status, 503);
      assert.doesNotMatch(body, /secret/);
    } finally {
      server.close();
    }
  });

  it('are for those who call this machine by a name that it has', async () => {
    const server = await openMetricsServer(
      listen,
      async () => 'text',
      () => ['fw.example.net'],
    );
    const status = (host: string) =>
      new Promise((resolve, reject) => {
        const asked = request(
          { host: '127.0.0.1', port: server.port, path: '/metrics', headers: { host } },
          (response) => {
            response.resume();
            resolve(response.statusCode);
          },
        );
        asked.on('error', reject);
        asked.end();
      });
    try {
      const own = [
        '127.0.0.1',
        '[::1]:9477',
        'LOCALHOST:1',
        '192.0.2.7:9477',
        hostname(),
        'fw.example.net:9477',
      ];
      for (const host of own) assert.equal(await status(host), 200, host);
      const others = [
        'rebound.example',
        'fw.example.net.evil.example',
        '127.0.0.1.evil.example:9477',
        'a b',
        '[x]',
      ];
      for (const host of others) assert.equal(await status(host), 421, host);
    } finally {
      server.close();
    }
  });

  it('are there for others beside forty that connect and say nothing', async () => {
    const server = await openMetricsServer(listen, async () => 'text');
    const silent = Array.from({ length: 40 }, () => connect(server.port, '127.0.0.1').on('error', () => {}));
    try {
      await Promise.all(silent.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
      assert.equal((await get(server.port, '/metrics')).status, 200);
    } finally {
      for (const socket of silent) socket.destroy();
      server.close();
    }
  });

  it('bear with what is no HTTP', async () => {
    const server = await openMetricsServer(listen, async () => 'text');
    try {
      const socket = connect(server.port, '127.0.0.1');
      socket.end('\x16\x03\x01 hello\r\n\r\n');
      await new Promise((resolve) => socket.on('close', resolve).resume());
      assert.equal((await get(server.port, '/metrics')).status, 200);
    } finally {
      server.close();
    }
  });

  it('say which address is not to be had', async () => {
    const server = await openMetricsServer(listen, async () => '');
    try {
      const taken = openMetricsServer({ address: '127.0.0.1', port: server.port }, async () => '');
      await assert.rejects(taken, /metrics: 127\.0\.0\.1:\d+: .*EADDRINUSE/);
    } finally {
      server.close();
    }
  });

  it('follow the settings, and stay where they are when that is not to be had', async () => {
    const taken = await openMetricsServer(listen, async () => 'other');
    const free = await openMetricsServer(listen, async () => '');
    const { port } = free;
    free.close();
    const complaints: string[] = [];
    const metrics = await openMetrics(
      null,
      async () => 'ours',
      (text) => void complaints.push(text),
    );
    const settled = async (isSo: (body: string) => boolean) => {
      for (;;) {
        const body = await get(port, '/metrics').then(
          (answer) => answer.body,
          (error: Error) => error.message,
        );
        if (isSo(body)) return;
      }
    };
    try {
      metrics.reload({ address: '127.0.0.1', port });
      await settled((body) => body === 'ours');
      metrics.reload({ address: '127.0.0.1', port: taken.port });
      while (complaints.length === 0) await get(port, '/metrics');
      assert.match(complaints[0]!, /EADDRINUSE.*; metrics stay at 127\.0\.0\.1:\d+$/);
      assert.equal((await get(port, '/metrics')).body, 'ours');
      metrics.reload(null);
      await settled((body) => /ECONNREFUSED/.test(body));
    } finally {
      metrics.close();
      taken.close();
    }
  });
});
