// A browser that notes whatever must not happen.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--font-render-hinting=none',
];

export class Browser {
  static async start({ base, token, artefacts }) {
    const executablePath = process.env.GATEHOUSE_CHROMIUM ?? '/usr/bin/chromium';
    const env = { ...process.env, FONTCONFIG_FILE: pinnedFonts() };
    const browser = await chromium.launch({ executablePath, args: FLAGS, env });
    mkdirSync(artefacts, { recursive: true });
    return Object.assign(new Browser(), { browser, base, token, artefacts });
  }

  /** A page that is signed in, with everything bad that happens on it in `page.bad`. */
  async page({ theme = 'light', width = 1280, height = 800, isSignedIn = true } = {}) {
    const context = await this.browser.newContext({
      viewport: { width, height },
      timezoneId: 'Europe/Berlin',
      locale: 'en-GB',
      acceptDownloads: true,
    });
    const page = await context.newPage();
    page.bad = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type()))
        page.bad.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => page.bad.push(`error: ${error.message}`));
    page.on('dialog', (dialog) => {
      page.bad.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(`${this.base}/`) && !url.startsWith('blob:'))
        page.bad.push(`request to ${url}`);
    });
    await context.exposeFunction('pwned', () => page.bad.push('a stored prompt was executed'));
    await context.addInitScript(
      ([token, theme]) => {
        if (token) sessionStorage.setItem('token', token);
        localStorage.setItem('theme', theme);
        document.addEventListener('securitypolicyviolation', (event) => {
          console.error(`CSP ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
        });
      },
      [isSignedIn ? this.token : '', theme],
    );
    return page;
  }

  /** Opens an address of the portal and waits until nothing loads any more. */
  async open(page, path) {
    await page.goto(`${this.base}${path}`);
    await settled(page);
  }

  screenshot(page, name) {
    return page.screenshot({ path: join(this.artefacts, `${name}.png`) });
  }

  stop() {
    return this.browser.close();
  }
}

const FONTS = ['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf', 'DejaVuSansMono.ttf'];

/** A font configuration that knows the pinned font and no other: text is drawn, and the same everywhere. */
function pinnedFonts() {
  const here = dirname(fileURLToPath(import.meta.url));
  const fonts = join(here, '../node_modules/dejavu-fonts-ttf/ttf');
  if (!existsSync(fonts)) throw new Error(`no fonts in ${fonts}: run npm install in web`);
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-fonts-'));
  for (const name of FONTS) copyFileSync(join(fonts, name), join(folder, name));
  const file = join(folder, 'fonts.conf');
  writeFileSync(
    file,
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<dir>${folder}</dir><cachedir>${folder}</cachedir>
<alias binding="same"><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>`,
  );
  return file;
}

export async function settled(page) {
  await page.waitForFunction(() => document.querySelector('#app')?.childElementCount > 0);
  await page.waitForFunction(() => !document.querySelector('.loading'), null, { timeout: 30_000 });
}

/** Content is covered until a purpose is stated. */
export async function reveal(page) {
  const purpose = page.getByLabel('Purpose', { exact: true });
  if ((await purpose.count()) === 0) return;
  // The browser notes on its console that the server refused the query before a purpose was stated.
  page.bad = page.bad.filter((text) => !/status of 403/.test(text));
  await purpose.fill('tests of the portal');
  await page.getByRole('button', { name: 'Show content' }).click();
  await settled(page);
}
