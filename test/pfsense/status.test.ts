import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { launchChromium, watchedPage, withoutChromium } from '../page/chromium.ts';
import { hostile } from './hostile.ts';
import { withoutPhp } from './package.ts';

const skip = withoutPhp || withoutChromium;
const script = fileURLToPath(new URL('status.php', import.meta.url));

/** Runs the package's PHP while this process answers on the socket. */
async function php(what: string, words: string): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(
    'php',
    ['-d', 'display_errors=stderr', script, what, words],
    {
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  assert.equal(stderr, '');
  return stdout;
}

/** An answer to each request, every text of it being this one. */
function answerOf(request: string, text: string): unknown {
  const call = {
    ...{
      legId: '0123456789abcdef',
      callId: text,
      from: text,
      to: `"${text}" <sip:${text}>`,
      parties: [text, text],
    },
    ...{ state: text, endReason: text, age: 75, packets: 1, packetsTo: { caller: text, callee: 7 } },
    noAudio: { to: ['caller', text], since: 0, causes: [{ reason: text, text, advice: text }] },
    pinholes: [{ protocol: text, address: text, ports: [4000, 4001], sources: [text, text], packets: 1234 }],
  };
  const refused = { ...call, at: 1_800_000_000, reason: text, detail: text, why: text, advice: text };
  const alarms = [{ name: text, text, advice: text }];
  const results: Readonly<Record<string, unknown>> = {
    status: { version: text, calls: 1, pinholes: 1, startedAt: 1_800_000_000, mode: {}, alarms },
    calls: { calls: [call, { ...call, legId: text }] },
    refused: { refused: [refused, { ...refused, legId: text }] },
    close: { closed: [text] },
  };
  return results[request];
}

describe('pfSense package: what the daemon says, on a page', { skip }, () => {
  let folder: string;
  let server: Server;
  let browser: Browser;
  let text = '';
  let asked: string[] = [];
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'pinholed-status-'));
    server = createServer((socket) => {
      socket.write('{"pinholed":"0.1.0","protocol":1}\n');
      socket.on('data', (line) => {
        asked.push(String(line).trim());
        const { request } = JSON.parse(String(line));
        socket.write(
          `${JSON.stringify({ ok: true, result: answerOf(request, text), more: true })}\n{"ok":true}\n`,
        );
      });
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => server.listen(join(folder, 'sock'), resolve));
    browser = await launchChromium();
  });
  after(async () => {
    await browser?.close();
    server?.close();
    rmSync(folder, { recursive: true });
  });

  it('is text, whatever it is', async () => {
    const { page, complaints, requests, close } = await watchedPage(browser);
    for (const one of hostile) {
      text = one;
      for (const what of ['page', 'widget']) {
        const html = await php(what, join(folder, 'sock'));
        await page.setContent(`<!doctype html><title>still</title>${html}`);
        assert.equal(await page.title(), 'still', one.slice(0, 60));
        assert.equal(
          await page.locator('script, img, iframe, style, [onerror]').count(),
          0,
          one.slice(0, 60),
        );
        const links = await page.locator('a').evaluateAll((all) => all.map((a) => a.getAttribute('href')));
        for (const link of links)
          assert.match(link ?? '', /^\/status_pinholed_call\.php\?legId=[0-9a-f]{16}$/);
        const shown = (await page.locator('body').textContent()) ?? '';
        assert.doesNotMatch(shown, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/);
      }
    }
    assert.deepEqual(complaints, []);
    assert.deepEqual(requests, []);
    await close();
  });

  it('errors of a form are text at their field', async () => {
    const { page, complaints, close } = await watchedPage(browser);
    const html = await php('form', JSON.stringify(hostile.map((one) => one.replaceAll('\0', ''))));
    /** As pfSense has it: what is pushed runs with jQuery, of which this is all that is used. */
    const jquery = `window.$ = (what) => what.startsWith('<') ? { text: (t) => ({ insertAfter: () => { const e = document.createElement('span'); e.textContent = t; document.body.append(e); } }) }
      : { first: () => ({ closest: () => ({ addClass: () => {} }) }) }; window.events = { push: (run) => run() };`;
    await page.setContent(`<!doctype html><title>still</title><body><script>${jquery}</script>${html}`);
    assert.equal(await page.title(), 'still');
    assert.equal(await page.locator('span').count(), hostile.length);
    assert.equal(await page.locator('img').count(), 0);
    assert.deepEqual(complaints, []);
    await close();
  });

  it('only the name of a leg is asked for', async () => {
    asked = [];
    const answers = JSON.parse(await php('close', join(folder, 'sock'))) as [string, string][];
    assert.deepEqual(
      answers.map(([box]) => box),
      ['success', 'danger', 'danger', 'danger'],
    );
    assert.deepEqual(asked, ['{"request":"close","call":"0123456789abcdef"}']);
  });

  it('says that nobody answers', async () => {
    assert.match(await php('page', join(folder, 'none')), /The daemon is not running/);
  });
});
