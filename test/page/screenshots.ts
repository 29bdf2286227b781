// Makes the pictures of docs/: node --import tsx test/page/screenshots.ts docs
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchChromium, watchedPage } from './chromium.ts';
import { createShelf, replayed } from './reports.ts';

/** Takes every screenshot and returns the names of the files. */
export async function takeScreenshots(directory: string): Promise<string[]> {
  const browser = await launchChromium();
  const shelf = createShelf();
  const taken: string[] = [];

  async function take(name: string, address: string, { width = 1180, dark = false } = {}): Promise<void> {
    const { page, close } = await watchedPage(browser, {
      viewport: { width, height: 800 },
      colorScheme: dark ? 'dark' : 'light',
    });
    await page.goto(address);
    await page.locator('.picture').waitFor();
    await page.screenshot({ path: join(directory, name), fullPage: true });
    taken.push(name);
    await close();
  }

  const oneWay = await shelf.put('one-way-audio-private-address', replayed('one-way-audio-private-address'));
  const moved = await shelf.put('reinvite-moves-port', replayed('reinvite-moves-port'));
  await take('report-one-way-audio.png', oneWay);
  await take('report-dark.png', moved, { dark: true });
  await take('report-phone.png', oneWay, { width: 390 });
  shelf.clear();
  await browser.close();
  return taken;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [directory] = process.argv.slice(2);
  if (directory === undefined) throw new Error('expected the directory for the pictures');
  console.log((await takeScreenshots(directory)).join('\n'));
}
