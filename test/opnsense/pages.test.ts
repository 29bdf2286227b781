import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { launchChromium, watchedPage, withoutChromium } from '../page/chromium.ts';
import { type CallingDaemon, startDaemon } from '../pfsense/real/daemon.ts';
import { php, pluginFiles, withoutPhp } from './plugin.ts';
import { core, run, usualConfig, withoutCore } from './real/root.ts';

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true } as const;
/** Where pictures are put that somebody wants to look at. */
const pictures = process.env['PINHOLED_PICTURES'];
/** Phalcon, whose Volt the pages are written in, as a module of php: where php has it not by itself. */
const phalcon = process.env['PINHOLED_PHALCON'];
const options = phalcon === undefined ? [] : ['-d', `extension=${phalcon}`];
const COMPILER = 'Phalcon\\Mvc\\View\\Engine\\Volt\\Compiler';
const hasVolt =
  spawnSync('php', [...options, '-r', `exit((int)!class_exists('${COMPILER}'));`], { stdio: 'ignore' })
    .status === 0;
/** False where OPNsense's own layout, forms and scripts can be around the pages. */
const withoutTheirs = withoutCore || (hasVolt ? false : 'php has no Phalcon (PINHOLED_PHALCON)');

const views = `${pluginFiles}/opnsense/mvc/app/views`;
const checkout = fileURLToPath(new URL('../..', import.meta.url));
const hostile = '"<script>document.title=1</script>" <sip:a"><img src=x onerror=document.title=1>@x>';

interface Drawn {
  readonly calls: string;
  readonly settings: string | null;
}

/** In place of OPNsense's layout and theme: what of Bootstrap moves a table about. */
const layout = (content: string) => `<!doctype html><html><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>SIP Pinholes</title><style>
* { box-sizing: border-box } body { font: 14px sans-serif; margin: 0; padding: 0 15px }
table { border-collapse: collapse } .table { width: 100% } .table td, .table th { padding: 5px; text-align: left }
@media (max-width: 767px) { .table-responsive { overflow-x: auto } .table-responsive > .table > tbody > tr > td { white-space: nowrap } }
</style><script>window.$ = () => ({ ready() {} });</script></head><body>${content}</body></html>`;

function drawn(given: object): string {
  const { status, stdout, stderr } = spawnSync(
    'php',
    [...options, '-d', 'display_errors=stderr', fileURLToPath(new URL('pages/volt.php', import.meta.url))],
    { input: JSON.stringify(given), encoding: 'utf8', maxBuffer: 2 ** 26 },
  );
  assert.equal(status, 0, stderr + stdout);
  assert.equal(stderr, '');
  return stdout;
}

/** As the plugin's library has them, in the layout of this file. */
function drawnAlone(calls: object[], refused: object[]): Drawn {
  const data = {
    running: true,
    isCut: false,
    calls: php<object[]>({ task: 'calls', calls }),
    refused: php<object[]>({ task: 'refused', refused }),
  };
  const page = drawn({ views: [views], page: 'OPNsense/Pinholed/calls', layout: null, data });
  return { calls: layout(page), settings: null };
}

/** What OPNsense's controllers give to their views. */
const CONTROLLED = `
  require_once '/mnt/keep/framework.php';
  require_once 'config.inc';
  require_once 'util.inc';
  class Given { public $data = []; function __set($name, $value) { $this->data[$name] = $value; } function pick($name) {} }
  class_alias('Given', 'Phalcon\\Mvc\\View');
  $answers = json_decode(base64_decode($argv[1]), true);
  foreach ($answers as $asked => $answer) OPNsense\\Core\\Backend::$answers[$asked] = json_encode($answer);
  foreach (['Index', 'Calls'] as $name) {
    $controller = (new ReflectionClass("OPNsense\\\\Pinholed\\\\{$name}Controller"))->newInstanceWithoutConstructor();
    $given = new Given();
    for ($class = new ReflectionClass($controller); !$class->hasProperty('view'); $class = $class->getParentClass());
    $view = $class->getProperty('view');
    $view->setAccessible(true);
    $view->setValue($controller, $given);
    $controller->indexAction();
    $out[$name] = $given->data;
  }
  $base = new ReflectionClass('OPNsense\\\\Base\\\\ControllerBase');
  foreach (['css_files' => 'templateCSSIncludes', 'javascript_files' => 'templateJSIncludes'] as $key => $method) {
    $includes = $base->getMethod($method);
    $includes->setAccessible(true);
    $out[$key] = $includes->invoke($controller);
  }
  $out['get'] = ['pinholed' => ['general' => (new OPNsense\\Pinholed\\Pinholed())->general->getNodes()]];
  echo json_encode($out, JSON_PARTIAL_OUTPUT_ON_ERROR);`;

interface Controlled {
  readonly Index: object;
  readonly Calls: object;
  readonly css_files: string[];
  readonly javascript_files: string[];
  readonly get: object;
}

function drawnByTheirs(calls: object[], refused: object[]): Drawn & { readonly get: object } {
  const answers = { 'pinholed calls': { calls }, 'pinholed refused': { refused } };
  const given = JSON.parse(
    run(usualConfig, ['-r', CONTROLLED, '--', Buffer.from(JSON.stringify(answers)).toString('base64')]),
  ) as Controlled;
  const page = (name: string, data: object) =>
    drawn({
      core,
      views: [views, `${core}/src/opnsense/mvc/app/views`],
      page: `OPNsense/Pinholed/${name}`,
      layout: 'layouts/default',
      data: {
        ...{
          title: 'Services: SIP Pinholes',
          headTitle: 'SIP Pinholes',
          ui_theme: 'opnsense',
          langcode: 'en-US',
        },
        ...{ system_hostname: 'fw', system_domain: 'example.com', session_username: 'root', csrf_token: 'x' },
        ...{
          session: { Username: 'root' },
          menuFavorites: '[]',
          menuSelectedUrl: '',
          product_name: 'OPNsense',
        },
        ...{ menuSystem: [], menuBreadcrumbs: [] },
        ...{
          product_website: '#',
          product_copyright_years: '',
          product_copyright_url: '#',
          product_copyright_owner: '',
        },
        ...{ css_files: given.css_files, javascript_files: given.javascript_files },
        ...data,
      },
    });
  return { calls: page('calls', given.Calls), settings: page('index', given.Index), get: given.get };
}

const TYPES: Readonly<Record<string, string>> = {
  ...{ '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.png': 'image/png' },
  ...{ '.woff2': 'font/woff2', '.woff': 'font/woff' },
};

for (const [how, without] of [
  ['drawn alone', withoutPhp || withoutChromium],
  ['in OPNsense’s own layout', withoutTheirs || withoutPhp || withoutChromium],
] as const) {
  const isTheirs = how !== 'drawn alone';
  describe(`pages of the OPNsense plugin, ${how}`, { skip: without }, () => {
    let folder: string;
    let browser: Browser;
    let daemon: CallingDaemon;
    let server: Server;
    let address: string;
    let pages: Drawn & { readonly get?: object };
    const posted: string[] = [];

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'pinholed-opnsense-'));
      const socket = join(folder, 'sock');
      daemon = await startDaemon(folder, socket);
      await daemon.call(
        'one@pbx',
        '"Alice Example" <sip:+49301@itsp.example>',
        '<sip:200@pbx.example>',
        4000,
      );
      await daemon.call('<b>two</b>@pbx', hostile, '<sip:201@pbx.example>', 4002);
      await daemon.foreign('three@pbx');
      await daemon.talks(4000, 50, 50);
      await daemon.talks(4002, 50, 0);
      const program = async (...args: string[]) => {
        const words = ['--import', 'tsx', 'src/main.ts', ...args, '--socket', socket];
        const { stdout } = await promisify(execFile)(process.execPath, words, {
          cwd: checkout,
          maxBuffer: 2 ** 26,
        });
        return stdout;
      };
      const { calls } = JSON.parse(await program('calls', '--json'));
      const { refused } = JSON.parse(await program('refused', '--json'));
      pages = isTheirs ? drawnByTheirs(calls, refused) : drawnAlone(calls, refused);
      server = createServer((request, response) => {
        const { pathname } = new URL(request.url!, 'http://localhost');
        if (request.method === 'POST') posted.push(pathname);
        const json = (value: unknown) => {
          response.setHeader('content-type', 'application/json');
          response.end(JSON.stringify(value));
        };
        const explained = /^\/api\/pinholed\/calls\/explain\/([0-9a-f]{16})$/.exec(pathname);
        if (pathname === '/calls' || pathname === '/settings') {
          response.setHeader('content-type', 'text/html; charset=utf-8');
          response.end(pathname === '/calls' ? pages.calls : pages.settings);
        } else if (explained) void program('explain', '--html', explained[1]!).then((page) => json({ page }));
        else if (pathname === '/api/pinholed/settings/get') json(pages.get);
        else if (pathname === '/api/core/system/status')
          json({ metadata: { system: { status: 'OK' }, translations: {} }, subsystems: {} });
        else if (pathname.startsWith('/api/pinholed/settings/search_'))
          json({ rows: [], rowCount: 0, total: 0, current: 1 });
        else if (pathname.startsWith('/api/')) json({});
        else {
          const name = pathname.replace(/^(\/ui)+\//, '/');
          const found = [`${pluginFiles}/opnsense/www${name}`, `${core}/src/opnsense/www${name}`].find(
            existsSync,
          );
          response.statusCode = found === undefined ? 404 : 200;
          response.setHeader('content-type', TYPES[extname(name)] ?? 'application/octet-stream');
          response.end(found === undefined ? '' : readFileSync(found));
        }
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      browser = await launchChromium();
    });
    after(async () => {
      await browser?.close();
      server?.close();
      await daemon?.close();
      rmSync(folder, { recursive: true });
    });

    async function opened(path: string, isPhone: boolean) {
      const watched = await watchedPage(browser, isPhone ? PHONE : {});
      await watched.page.goto(address + path);
      return watched;
    }

    async function picture(page: Page, name: string): Promise<void> {
      if (pictures === undefined) return;
      await page.screenshot({
        path: join(pictures, `opnsense-${isTheirs ? '' : 'alone-'}${name}.png`),
        fullPage: true,
      });
    }

    /** What of these, if it is shown, stands out at the right or has no room; text of each. */
    const astray = (page: Page, what: string): Promise<string[]> =>
      page.evaluate(`[...document.querySelectorAll(${JSON.stringify(what)})].filter((one) => {
        if (one.getClientRects().length === 0) return false;
        const { left, right, width } = one.getBoundingClientRect();
        const isCut = one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline';
        return width === 0 || left < 0 || right > document.documentElement.clientWidth + 1 || isCut;
      }).map((one) => [one.tagName, one.className, one.textContent.trim().slice(0, 60)].join(' '))`);

    for (const [where, isPhone] of [
      ['', false],
      [', on a telephone', true],
    ] as const) {
      it(`calls, packets each way, and who was refused${where}`, async () => {
        const { page, close } = await opened('/calls', isPhone);
        const rows = page.locator('.pinholed-table').first().locator('tbody tr');
        await rows.first().waitFor();
        const cell = async (who: string, name: string) =>
          (await rows.filter({ hasText: who }).locator(`td[data-label="${name}"]`).innerText())
            .replace(/^.*: /, '')
            .trim()
            .split(/\s+/)
            .join(' ');
        for (const [who, toCaller] of [
          ['Alice Example', /^[1-9][\d,]*$/],
          ['port 4002', /^0 hears nothing$/],
        ] as const) {
          assert.match(await cell(who, 'Packets to caller'), toCaller);
          assert.match(await cell(who, 'Packets to callee'), /^[1-9][\d,]*$/);
        }
        const why = await rows.locator('.label-danger').first().getAttribute('title');
        assert.match(why ?? '', /callee \(192\.168\.1\.10\) sends nothing/);
        assert.match(await page.locator('.pinholed-table').nth(1).innerText(), /foreign-address/);
        assert.match((await rows.allInnerTexts()).join(), /<script>document\.title=1<\/script>/);
        assert.notEqual(await page.title(), '1');
        assert.equal(await page.locator('.pinholed-table img, .pinholed-table script').count(), 0);
        await picture(page, `calls${isPhone ? '-phone' : ''}`);
        assert.deepEqual(
          await astray(page, '.pinholed-table td, .table-responsive, .pinholed-table button'),
          [],
        );
        if (isPhone)
          assert.equal(
            await page.evaluate(
              'document.documentElement.scrollWidth <= document.documentElement.clientWidth',
            ),
            true,
          );
        await close();
      });

      it(`one click leads to the ladder${where}`, {
        skip: !isTheirs && 'needs OPNsense’s scripts',
      }, async () => {
        const { page, close } = await opened('/calls', isPhone);
        const row = page.locator('.pinholed-table tbody tr', { hasText: 'Alice Example' }).first();
        await row.locator('.pinholed-ladder').click();
        const frame = page.frameLocator('.modal-body iframe');
        await frame.locator('.arrow').first().waitFor();
        assert.equal(await frame.locator('.arrow').count(), 3);
        await page.locator('.modal.in').waitFor();
        await picture(page, `ladder${isPhone ? '-phone' : ''}`);
        assert.deepEqual(await astray(page, '.modal-dialog, .modal-body iframe'), []);
        await close();
      });

      it(`the form${where}`, { skip: !isTheirs && 'needs OPNsense’s forms' }, async () => {
        const { page, complaints, close } = await opened('/settings', isPhone);
        await page.locator('#frm_general input').first().waitFor({ state: 'attached' });
        const ports = page.locator('[id="pinholed.general.sipports"]');
        await ports.waitFor({ state: 'attached' });
        await page.waitForFunction("document.querySelectorAll('#frm_general .bootstrap-select').length > 3");
        const closed = page.locator('#frm_general thead:has(.fa-angle-right)');
        while ((await closed.count()) > 0) await closed.first().click();
        await page.locator('[id="pinholed.general.more"]').waitFor();
        await picture(page, `settings${isPhone ? '-phone' : ''}`);
        assert.deepEqual(
          await astray(page, '#frm_general tr:not([style*="none"]) td:not(:empty), #reconfigureAct'),
          [],
        );
        assert.deepEqual(
          complaints.filter((text) => text.startsWith('error: ') && !text.includes('status of 404')),
          [],
        );
        await close();
      });
    }

    it('closes a call', { skip: !isTheirs && 'needs OPNsense’s scripts' }, async () => {
      const { page, close } = await opened('/calls', false);
      const row = page.locator('.pinholed-table tbody tr', { hasText: 'port 4002' });
      const button = row.locator('.pinholed-close');
      const leg = await button.getAttribute('data-leg-id');
      await Promise.all([page.waitForNavigation(), button.click()]);
      assert.ok(posted.includes(`/api/pinholed/calls/close/${leg}`), posted.join());
      await close();
    });
  });
}
