import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import type { CallPicture, LiveSnapshot } from '../../src/report/page/model.ts';
import { replayPictures, rowOf } from '../../src/report/page/pictures.ts';
import { isEverything, type RowSelection, writeSelection } from '../../src/report/page/selection.ts';
import { createWebServer, type WebServer } from '../../src/web/server.ts';
import { launchChromium, watchedPage, withoutChromium } from './chromium.ts';
import { replayed } from './reports.ts';

const pictures: readonly CallPicture[] = [
  ...replayPictures(replayed('trunk-many-calls')).pictures(),
  ...replayPictures(replayed('one-way-audio-private-address')).pictures(),
];

/** A daemon whose counters grow with every question. */
function daemon() {
  const state = {
    asked: 0,
    shown: pictures.slice(0, 3),
    alarms: [] as LiveSnapshot['alarms'],
    withoutAudio: 0,
    staticMedia: [] as readonly string[],
    group: [] as readonly string[],
    failing: false,
    /** Calls that are not listed unless somebody looks for them. */
    others: [] as readonly CallPicture[],
    selections: [] as string[],
    failures: [] as unknown[],
  };
  return {
    state,
    snapshot(selection: RowSelection): LiveSnapshot {
      if (state.failing) throw new Error('secret detail');
      state.asked++;
      state.selections.push(writeSelection(selection));
      const { asked, others } = state;
      const remembered = state.shown.length + others.length;
      const shown = isEverything(selection) ? state.shown : others;
      return {
        ...{ version: '0.1.0', platform: 'model', mode: 'fail: open', startedAt: 1_782_900_000 },
        at: 1_782_900_000 + asked * 2,
        alarms: state.alarms,
        counters: {
          packets: asked * 10,
          messages: asked * 20,
          calls: asked,
          refusals: 0,
          media: asked * 200,
        },
        ...{ pinholes: shown.length * 2, calls: shown.length, rows: shown.map(rowOf), remembered },
        withoutAudio: state.withoutAudio,
        staticMedia: state.staticMedia,
        group: state.group,
        rowsOmitted: isEverything(selection) ? others.length : 0,
        latency: { inspection: { p50: 14, p99: 40, max: 900 }, commit: { p50: 1200, p99: 4000, max: 9000 } },
        refused: {},
      };
    },
    call: (legId: string) => pictures.find((one) => one.call.legId === legId) ?? null,
    failed: (error: unknown) => void state.failures.push(error),
  };
}

let server: WebServer;
let browser: Browser;
const source = daemon();

before(async () => {
  server = await createWebServer({ listen: { address: '127.0.0.1', port: 0 }, ...source });
  if (withoutChromium === false) browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await server.close();
});

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

function ask(path: string, { method = 'GET', headers = {} as Record<string, string> } = {}): Promise<Reply> {
  const { address, port } = server.address;
  return new Promise((resolve, reject) => {
    const question = request({ host: address, port, path, method, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
      );
    });
    question.on('error', reject);
    question.end();
  });
}

test('it listens on loopback addresses only', async () => {
  for (const address of ['0.0.0.0', '::', '192.0.2.1']) {
    await assert.rejects(
      createWebServer({ listen: { address, port: 0 }, ...source }),
      /loopback addresses only/,
    );
  }
});

test('a taken port is an error of the caller', async () => {
  await assert.rejects(createWebServer({ listen: server.address, ...source }), { code: 'EADDRINUSE' });
});

test('forty that connect and say nothing, or half a request, keep nobody away', async () => {
  const { address, port } = server.address;
  const silent = Array.from({ length: 40 }, () => connect(port, address).on('error', () => {}));
  await Promise.all(silent.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  for (const socket of silent.slice(0, 20)) socket.write('GET / HTTP/1.1\r\nHost: ');
  for (let asked = 0; asked < 3; asked++) assert.equal((await ask('/')).status, 200);
  for (const socket of silent) socket.destroy();
});

test('every answer has the headers that keep other sites out', async () => {
  for (const path of ['/', '/live.json', '/call.json?legId=0', '/nothing']) {
    const { headers } = await ask(path);
    const policy = String(headers['content-security-policy']);
    assert.match(policy, /^default-src 'none'; script-src 'sha256-[^;]+; style-src 'sha256-[^;]+;/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['cross-origin-resource-policy'], 'same-origin');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['access-control-allow-origin'], undefined);
    assert.equal(headers['set-cookie'], undefined);
  }
});

test('a name that was made to point here is refused (DNS rebinding)', async () => {
  const { port } = server.address;
  for (const host of [
    `attacker.example:${port}`,
    'attacker.example',
    '127.0.0.1',
    `127.0.0.1:${port + 1}`,
    `127.0.0.1.attacker.example:${port}`,
  ]) {
    const { status, body } = await ask('/live.json', { headers: { Host: host } });
    assert.ok(status === 421 || status === 400, `${host}: ${status}`);
    assert.ok(!body.includes('{'));
  }
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `LOCALHOST:${port}`]) {
    assert.equal((await ask('/live.json', { headers: { Host: host } })).status, 200);
  }
});

test('a request without Host is refused', async () => {
  const socket = connect(server.address.port, server.address.address);
  socket.end('GET /live.json HTTP/1.0\r\n\r\n');
  let reply = '';
  for await (const chunk of socket) reply += String(chunk);
  assert.match(reply, /^HTTP\/1\.1 421 /);
});

test('pages of other sites get no data, a link from them opens the page', async () => {
  const cross = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors' };
  assert.equal((await ask('/live.json', { headers: cross })).status, 403);
  assert.equal(
    (await ask('/live.json', { headers: { ...cross, 'Sec-Fetch-Site': 'same-site' } })).status,
    403,
  );
  assert.equal((await ask('/', { headers: { ...cross, 'Sec-Fetch-Mode': 'navigate' } })).status, 200);
});

test('it only reads', async () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const { status, headers } = await ask('/live.json', { method });
    assert.equal(status, 405);
    assert.equal(headers['allow'], 'GET, HEAD');
  }
  const { status, body, headers } = await ask('/', { method: 'HEAD' });
  assert.deepEqual([status, body], [200, '']);
  assert.ok(Number(headers['content-length']) > 1000);
});

test('one call by its name, nothing for other names', async () => {
  const { legId } = pictures[0]!.call;
  const { status, body } = await ask(`/call.json?legId=${legId}`);
  assert.equal(status, 200);
  assert.deepEqual(JSON.parse(body), pictures[0]);
  for (const wrong of ['', 'ffff', '../../etc/passwd', '%00', 'a'.repeat(5000)]) {
    assert.equal((await ask(`/call.json?legId=${wrong}`)).status, 404, wrong);
  }
  assert.equal((await ask('/live.json/../etc')).status, 404);
});

test('what went wrong is told to the daemon, not to the client', async () => {
  source.state.failing = true;
  const { status, body } = await ask('/live.json');
  source.state.failing = false;
  assert.equal(status, 500);
  assert.ok(!body.includes('secret'));
  assert.match(String(source.state.failures.pop()), /secret detail/);
});

test('the live page keeps itself up to date', { skip: withoutChromium }, async () => {
  const { state } = source;
  const { page, complaints, requests, close } = await watchedPage(browser);
  const origin = `http://127.0.0.1:${server.address.port}`;
  await page.goto(`${origin}/`);
  await page.locator('.calls > li').nth(2).waitFor();
  assert.equal(await page.locator('.calls > li').count(), 3);
  await page.locator('.row').nth(1).click();
  await page.locator('.arrow').first().waitFor();
  assert.equal(await page.locator('.arrow .head').count(), 6);

  state.shown = [pictures.at(-1)!, ...pictures.slice(0, 2)];
  state.alarms = [
    { severity: 'critical', since: 1_782_900_100, text: 'pf refuses rules', advice: 'See pinholed doctor.' },
  ];
  await page.locator('.alarm').waitFor();
  assert.match(
    (await page.locator('.alarm').textContent()) ?? '',
    /pf refuses rules since .* See pinholed doctor\./,
  );
  assert.deepEqual(
    await page.locator('.row .id').allTextContents(),
    state.shown.map(({ call }) => call.callId),
  );
  assert.equal(await page.locator('.picture').count(), 1, 'what was open stays open');
  const figures = await page.locator('.stats div').allTextContents();
  assert.ok(figures.includes('Calls3') && figures.includes('SIP messages / s10'), figures.join());

  assert.deepEqual(complaints, []);
  assert.ok(requests.every((url) => url.startsWith(`${origin}/`)));
  await close();
});

test('the headline is the worst that is true now', { skip: withoutChromium }, async () => {
  const { state } = source;
  const { page, close } = await watchedPage(browser);
  state.alarms = [];
  state.withoutAudio = 0;
  await page.goto(`http://127.0.0.1:${server.address.port}/`);
  const says = (text: string) => page.locator('h1', { hasText: text }).waitFor();
  await says('Running, no alarms.');
  state.withoutAudio = 2;
  await says('Running, with 2 of 3 calls without audio one way or both ways.');
  state.alarms = [{ severity: 'critical', since: 1_782_900_100, text: 'pf refuses rules', advice: '' }];
  await says('Running, with 1 alarm, 2 of 3 calls without audio one way or both ways.');
  assert.equal(await page.getByText('static-media').count(), 0);
  state.staticMedia = ['trunk: 2 peers, 400 ports open', 'teams: no peer is there'];
  await page
    .getByText('static-media: trunk: 2 peers, 400 ports open · teams: no peer is there', { exact: true })
    .waitFor();
  state.staticMedia = [];
  assert.equal(await page.getByText('shared:').count(), 0);
  state.group = ['fw1 joined, with fw2, for 2h00m, last answer 0.3s ago', '3 calls of its own'];
  await page
    .getByText('shared: fw1 joined, with fw2, for 2h00m, last answer 0.3s ago · 3 calls of its own', {
      exact: true,
    })
    .waitFor();
  state.group = [];
  state.failing = true;
  await says('The daemon does not answer.');
  state.failing = false;
  state.alarms = [];
  state.withoutAudio = 0;
  await says('Running, no alarms.');
  await close();
});

test('a call that goes on says for how long, without its row being made anew', {
  skip: withoutChromium,
}, async () => {
  const { state } = source;
  const first = pictures[0]!;
  const age = (seconds: number): CallPicture => ({
    ...first,
    call: { ...first.call, state: 'confirmed', endedAt: null },
    until: first.call.startedAt + seconds,
  });
  state.shown = [age(65)];
  const { page, close } = await watchedPage(browser);
  await page.goto(`http://127.0.0.1:${server.address.port}/`);
  await page.locator('.when small', { hasText: 'confirmed, 1 min 5 s' }).waitFor();
  await page
    .locator('.row b')
    .first()
    .evaluate((name) => name.setAttribute('data-kept', ''));
  state.shown = [age(67)];
  await page.locator('.when small', { hasText: 'confirmed, 1 min 7 s' }).waitFor();
  assert.equal(await page.locator('[data-kept]').count(), 1);
  state.shown = pictures.slice(0, 3);
  await close();
});

test('many calls are summed up: why and where there is trouble, each a search', {
  skip: withoutChromium,
}, async () => {
  const { state } = source;
  const deaf = (picture: CallPicture): CallPicture => ({
    ...picture,
    verdict: {
      level: 'silent',
      headline: 'No audio, in either direction.',
      causes: [{ reason: 'nothing-came', text: 'Nothing came.', advice: '' }],
    },
  });
  const parties = ['192.0.2.10', '203.0.113.9'] as const;
  state.shown = pictures.slice(0, 12).map((picture, index) => {
    const own = index < 3 ? deaf(picture) : picture;
    return { ...own, call: { ...own.call, parties: index < 2 ? parties : own.call.parties } };
  });
  const { page, complaints, close } = await watchedPage(browser);
  await page.goto(`http://127.0.0.1:${server.address.port}/`);
  await page.locator('.summary').waitFor();
  assert.deepEqual(await page.locator('.summary button').allTextContents(), [
    'the pinhole is open, and nothing comes3',
    '192.0.2.103 of 12 calls',
    '203.0.113.92 of 2 calls',
    '198.51.100.201 of 10 calls',
  ]);
  for (const held of ['.summary button', '.chip']) {
    await page.locator(held).last().focus();
    const { asked } = state;
    while (state.asked < asked + 2) await page.waitForResponse(/live\.json/);
    assert.equal(await page.locator(`${held}:focus`).count(), 1, `${held} while answers come`);
  }
  await page.locator('.summary button', { hasText: '203.0.113.9' }).click();
  assert.equal(await page.locator('.count').textContent(), '2 of 12 calls');
  await page.locator('.summary button', { hasText: 'nothing comes' }).click();
  assert.equal(await page.locator('.count').textContent(), '3 of 12 calls');
  assert.deepEqual(complaints, []);
  state.shown = pictures.slice(0, 3);
  await close();
});

test('calls that are not listed are found by a search and a filter, and the page says that there are some', {
  skip: withoutChromium,
}, async () => {
  const { state } = source;
  const [wanted] = pictures.slice(-1);
  state.shown = pictures.slice(0, 3);
  state.others = [wanted!];
  const { page, complaints, close } = await watchedPage(browser);
  await page.goto(`http://127.0.0.1:${server.address.port}/`);
  await page.locator('.calls > li').nth(2).waitFor();
  const count = page.locator('.count');
  assert.equal(
    await count.textContent(),
    'The newest 3 of 4 calls; search, filters and order go through all of them',
  );
  assert.equal(await page.locator('.chip b').count(), 0, 'nobody has counted');

  state.selections.length = 0;
  await page.locator('#search').fill(wanted!.call.callId);
  assert.equal(await count.textContent(), 'Looking through 4 calls …');
  await page.locator('.row .id', { hasText: wanted!.call.callId }).waitFor();
  assert.equal(await count.textContent(), '1 of 4 calls');
  const asked = `filter=all&order=newest&search=${encodeURIComponent(wanted!.call.callId)}`;
  assert.deepEqual(new Set(state.selections), new Set([asked]));
  await page.locator('.row').click();
  await page.locator('.arrow').first().waitFor();

  await page.locator('#search').fill('');
  await page.locator('.calls > li').nth(2).waitFor();
  await page.locator('.chip', { hasText: 'One way or none' }).click();
  await page.locator('.row .id', { hasText: wanted!.call.callId }).waitFor();
  assert.equal(state.selections.at(-1), 'filter=blocked&order=newest&search=');
  state.others = [];
  await page.locator('.chip', { hasText: 'All' }).click();
  await page.locator('.chip b').first().waitFor();
  assert.deepEqual(complaints, []);
  await close();
});

test('the live page says when the daemon is gone, and when it is back', {
  skip: withoutChromium,
}, async () => {
  const { page, close } = await watchedPage(browser);
  await page.goto(`http://127.0.0.1:${server.address.port}/`);
  await page.locator('.row').first().waitFor();
  source.state.failing = true;
  await page.locator('[role=alert]').waitFor();
  assert.match((await page.locator('[role=alert]').textContent()) ?? '', /^No answer from the daemon since/);
  source.state.failing = false;
  await page.locator('[role=alert]').waitFor({ state: 'detached' });
  await close();
});
