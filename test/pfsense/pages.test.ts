import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { loadConfig } from '../../src/config/load.ts';
import { launchChromium, watchedPage, withoutChromium } from '../page/chromium.ts';
import { type CallingDaemon, startDaemon } from './real/daemon.ts';
import { createRoot, type Root, sources, withoutSource } from './real/root.ts';
import { openSite, type Site } from './real/site.ts';

const skip = withoutSource || withoutChromium;
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true } as const;
/** Where pictures are put that somebody wants to look at. */
const pictures = process.env['PINHOLED_PICTURES'];

const hostile = '"<script>document.title=1</script>" <sip:a"><img src=x onerror=document.title=1>@x>';

for (const source of skip ? ['/'] : sources) {
  describe(`pages of the package in pfSense from ${source}`, { skip }, () => {
    let root: Root;
    let site: Site;
    let browser: Browser;
    let daemon: CallingDaemon;

    before(async () => {
      root = createRoot(source);
      root.configure({ FORM: '<enable>on</enable>' });
      site = await openSite(root);
      browser = await launchChromium();
      daemon = await startDaemon(
        join(root.directory, 'standin'),
        join(root.directory, 'var/run/pinholed.sock'),
      );
      await daemon.call(
        'one@pbx',
        '"Alice Example" <sip:+4930123456@itsp.example>',
        '<sip:200@pbx.example>',
        4000,
      );
      await daemon.call('<b>two</b>@pbx', hostile, '<sip:201@pbx.example>', 4002);
      await daemon.foreign('three@pbx');
      await daemon.talks(4000, 50, 50);
      await daemon.talks(4002, 50, 0);
    });
    after(async () => {
      await daemon?.close();
      await browser?.close();
      await site?.close();
      root?.remove();
    });

    async function opened(path: string, options?: BrowserContextOptions) {
      const watched = await watchedPage(browser, options);
      const response = await watched.page.goto(site.address + path);
      assert.equal(response?.status(), 200);
      return watched;
    }

    async function picture(page: Page, name: string): Promise<void> {
      if (pictures === undefined) return;
      await page.screenshot({ path: join(pictures, `${root.version}-${name}.png`), fullPage: true });
    }

    const fits = (page: Page) =>
      page.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth');

    const FORM = '/pkg_edit.php?xml=pinholed.xml&id=0';

    it('the form shows what it found in the firewall', async () => {
      const { page, complaints, close } = await opened(FORM);
      const text = (await page.locator('form').textContent()) ?? '';
      assert.match(text, /Found now: the address of igb0 stands for 192\.168\.1\.10 \(port forward\)/);
      assert.match(text, /Found now: igb0 by 203\.0\.113\.1, igb2 by 198\.51\.100\.1/);
      const chosen = page.locator('select[name="interfaces[]"] option:checked');
      assert.deepEqual(await chosen.allTextContents(), ['LAN', 'PHONES']);
      await picture(page, 'settings');
      /** Chromium's advice about two passwords in one form. */
      assert.deepEqual(
        complaints.filter((text) => !text.startsWith('verbose: ')),
        [],
      );
      await close();
      const phone = await opened(FORM, PHONE);
      await picture(phone.page, 'settings-phone');
      assert.equal(await fits(phone.page), true);
      await phone.close();
    });

    it('an error of the daemon’s own check stands at its field, and nothing is stored', async () => {
      const { page, close } = await opened(FORM);
      await page.fill('[name="sipports"]', '5060 70000');
      await page.fill('[name="peers"]', '192.0.2.1\nitsp <script>document.title=1</script>');
      await page.click('button[name="submit"]');
      const errors = page.locator('.input-errors li');
      await errors.first().waitFor();
      const texts = await errors.allTextContents();
      assert.match(texts[0]!, /^SIP ports: expected a port .*found "?70000/);
      assert.match(texts[1]!, /^Peers: line 2: expected .*<script>/);
      assert.equal(await page.locator('.has-error [name="sipports"]').count(), 1);
      assert.equal(await page.locator('.has-error [name="peers"]').count(), 1);
      assert.notEqual(await page.title(), '1');
      assert.equal(await page.inputValue('[name="sipports"]'), '5060 70000');
      await picture(page, 'errors');
      assert.doesNotMatch(readFileSync(join(root.directory, 'cf/conf/config.xml'), 'utf8'), /70000/);
      await close();
    });

    it('what is saved is stored, and becomes the daemon’s configuration', async () => {
      const { page, close } = await opened(FORM);
      await page.fill('[name="sipports"]', '5060, 5080');
      await page.fill('[name="mediaports"]', '10000-20000');
      await page.fill('[name="peers"]', 'itsp 192.0.2.0/24');
      await page.selectOption('[name="nat"]', 'list');
      await page.fill('[name="external0"]', 'wan');
      await page.fill('[name="insidehosts0"]', '192.168.1.10');
      await Promise.all([page.waitForNavigation(), page.click('button[name="submit"]')]);
      assert.equal(await page.locator('.input-errors').count(), 0);
      assert.equal(await page.inputValue('[name="peers"]'), 'itsp 192.0.2.0/24');
      assert.equal(await page.inputValue('[name="insidehosts0"]'), '192.168.1.10');
      const path = join(root.directory, 'usr/local/etc/pinholed.yaml');
      assert.ok(existsSync(path), 'no configuration');
      const loaded = loadConfig(readFileSync(path, 'utf8'), path);
      if (!('settings' in loaded)) assert.fail(JSON.stringify(loaded.problems));
      assert.deepEqual(loaded.settings.sipPorts, [
        [5060, 5060],
        [5080, 5080],
      ]);
      assert.deepEqual(
        loaded.settings.nat.map(({ external }) => external),
        [{ interface: 'igb0' }],
      );
      assert.deepEqual(
        loaded.settings.uplinks.map(({ interface: name }) => name),
        ['igb0', 'igb2'],
      );
      await close();
    });

    for (const [how, options] of [
      ['', {}],
      [', without JavaScript', { javaScriptEnabled: false }],
      [', on a telephone', PHONE],
    ] as const) {
      it(`calls, who was refused and why${how}`, async () => {
        const { page, close } = await opened('/status_pinholed.php', options);
        const calls = page.locator('#pinholed-status .panel').first().locator('tbody tr');
        await calls.first().waitFor();
        const rows = await calls.allTextContents();
        const one = rows.find((row) => row.includes('Alice Example')) ?? '';
        assert.match(one, /192\.0\.2\.1.*200.*192\.168\.1\.10.*confirmed/);
        assert.match(one, /udp 192\.168\.1\.10:4000-4001 from 192\.0\.2\.1/);
        const cells = (name: string, who: string) =>
          calls.filter({ hasText: who }).locator(`td[data-label="Packets to ${name}"]`).allTextContents();
        const passed = /^[1-9][\d,]*$/;
        assert.match((await cells('caller', 'Alice Example'))[0]!, passed);
        assert.match((await cells('callee', 'Alice Example'))[0]!, passed);
        assert.deepEqual(await cells('caller', '4002'), ['0 hears nothing']);
        assert.match((await cells('callee', '4002'))[0]!, passed);
        assert.ok(
          rows.some((row) => row.includes('<script>document.title=1</script>')),
          rows.join('\n'),
        );
        const refused = page.locator('#pinholed-status .panel').nth(1);
        assert.match((await refused.textContent()) ?? '', /foreign-address/);
        assert.equal(await page.locator('#pinholed-status img').count(), 0);
        assert.match(await page.title(), /SIP Pinholes/);
        await picture(page, `status${how.replace(/\W+/g, '-')}`);
        if (how.includes('telephone')) assert.equal(await fits(page), true);
        await close();
      });
    }

    it('one click leads to the ladder of a call, which loads and asks nothing', async () => {
      const { page, close } = await opened('/status_pinholed.php');
      const row = page.locator('tr', { hasText: 'Alice Example' }).first();
      const [ladder] = await Promise.all([page.waitForEvent('popup'), row.getByText('Ladder').click()]);
      await ladder.locator('.arrow').first().waitFor();
      assert.equal(await ladder.locator('.arrow').count(), 3);
      await picture(ladder, 'ladder');
      await close();
      const phone = await opened('/status_pinholed.php', PHONE);
      const href = await phone.page
        .locator('tr', { hasText: 'Alice Example' })
        .locator('a')
        .first()
        .getAttribute('href');
      await phone.page.goto(site.address + href);
      await phone.page.locator('.arrow').first().waitFor();
      await picture(phone.page, 'ladder-phone');
      await phone.close();
    });

    it('a name that is none leads nowhere', async () => {
      for (const call of ['0123456789abcdef', '..%2f', '%60id%60', '']) {
        const { page, close } = await opened(`/status_pinholed_call.php?legId=${call}`);
        assert.match((await page.locator('.alert').first().textContent()) ?? '', /no such call/);
        await close();
      }
    });

    it('closes a call', async () => {
      const { page, close } = await opened('/status_pinholed.php', { javaScriptEnabled: false });
      const row = page.locator('tr', { hasText: '4002' });
      await Promise.all([page.waitForNavigation(), row.getByText('Close').click()]);
      assert.match(
        (await page.locator('.alert').first().textContent()) ?? '',
        /pinholes of the call are closed/,
      );
      assert.equal(await page.getByText('192.168.1.10:4002').count(), 0);
      await close();
    });

    it('the widget of the dashboard', async () => {
      const response = await fetch(`${site.address}/widgets/widgets/pinholed.widget.php`, {
        method: 'POST',
        body: new URLSearchParams({ ajax: 'ajax' }),
      });
      const html = await response.text();
      assert.match(html, /Alice Example/);
      assert.match(html, /calls, \d+ pinholes?/);
      assert.match(html, /Alice Example<br \/><small>[1-9][\d,]*<\/small>.*<small>[1-9][\d,]*<\/small>/);
    });
  });
}
