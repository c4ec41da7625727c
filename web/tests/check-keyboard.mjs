// The portal without a mouse.
import assert from 'node:assert/strict';
import { settled } from './browser.mjs';

export async function checkKeyboard(browser, { check, admin }) {
  const page = await browser.page({ isSignedIn: false });
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const focused = () =>
    page.evaluate(() => {
      const element = document.activeElement;
      return element?.getAttribute('aria-label') ?? element?.textContent?.trim() ?? '';
    });
  /** Tabs on until the element with this name has the focus. */
  const tabTo = async (name) => {
    for (let step = 0; step < 60; step += 1) {
      if ((await focused()).startsWith(name)) return;
      await press('Tab');
    }
    throw new Error(`Tab never reaches ${name}`);
  };

  await check('keyboard: sign in', async () => {
    await browser.open(page, '/requests');
    await press('Tab');
    await page.keyboard.type(admin.token);
    await press('Enter');
    await page.getByRole('grid').waitFor();
  });
  await check('keyboard: the first stop leads past the navigation', async () => {
    await page.evaluate(() => document.activeElement?.blur());
    await press('Tab');
    assert.equal(await focused(), 'Skip to content');
  });
  await check('keyboard: a request opens from the list, its tabs change with arrows', async () => {
    await tabTo('Requests');
    for (let step = 0; step < 60; step += 1) {
      if (await page.evaluate(() => document.activeElement?.getAttribute('role') === 'grid')) break;
      await press('Tab');
    }
    await press('ArrowDown', 'ArrowDown', 'End', 'Home', 'PageDown', 'ArrowUp', 'Enter');
    await page.waitForURL(/\/requests\/[0-9a-f-]{36}/);
    await settled(page);
    await tabTo('Conversation');
    await press('ArrowRight');
    assert.match(page.url(), /tab=request/);
    await press('ArrowLeft');
    assert.doesNotMatch(page.url(), /tab=/);
  });
  await check('keyboard: content is shown once a purpose is stated', async () => {
    await page.goBack();
    await browser.open(page, '/requests?kind=chat&status=2xx');
    for (let step = 0; step < 60; step += 1) {
      if (await page.evaluate(() => document.activeElement?.getAttribute('role') === 'grid')) break;
      await press('Tab');
    }
    await press('Enter');
    await page.waitForURL(/\/requests\/[0-9a-f-]{36}/);
    await settled(page);
    for (let step = 0; step < 60; step += 1) {
      if (await page.evaluate(() => document.activeElement?.tagName === 'INPUT')) break;
      await press('Tab');
    }
    await page.keyboard.type('keyboard walk');
    await press('Enter');
    await page.locator('.part').first().waitFor();
  });
  await check(
    'keyboard: a query runs with Ctrl+Enter, and only the selection if there is one',
    async () => {
      await browser.open(page, '/logs');
      await page.locator('.cm-content').focus();
      await press('Control+a');
      await page.keyboard.type('print Answer = 6 * 7');
      await press('Control+Enter');
      await page.getByRole('gridcell', { name: '42' }).waitFor();
      await press('Control+End', 'Enter');
      await page.keyboard.type('print Other = 1');
      await press('Shift+Home', 'Control+Enter');
      await page.getByRole('columnheader', { name: 'Other' }).waitFor();
    },
  );
  await check('keyboard: a dialog takes the focus and Escape gives it back', async () => {
    await browser.open(page, '/backends');
    await tabTo('Drain');
    await press('Enter');
    await page.getByRole('dialog').waitFor();
    await press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.equal(await focused(), 'Drain');
  });
  await check('keyboard: no error on the way', async () => {
    assert.deepEqual(page.bad, []);
  });
  await page.context().close();
}
