// The editor: what the server's parser and binder say while somebody types.
import assert from 'node:assert/strict';
import { reveal } from './browser.mjs';

export async function checkLogs(browser, { check }) {
  const page = await browser.page();
  const write = async (text) => {
    await page.locator('.cm-content').focus();
    await page.keyboard.press('Control+a');
    await page.keyboard.type(text);
  };
  await check('logs: operators and columns are offered', async () => {
    await browser.open(page, '/logs');
    await write('Interactions | summ');
    await page
      .locator('.cm-tooltip-autocomplete')
      .getByText('summarize', { exact: true })
      .waitFor();
    await page.keyboard.press('Escape');
    await write('Interactions | where Deploy');
    await page
      .locator('.cm-tooltip-autocomplete')
      .getByText('DeploymentName', { exact: true })
      .waitFor();
    await page.keyboard.press('Escape');
  });
  await check('logs: a mistake is underlined where it is', async () => {
    await write('Interactions | where NoSuchColumn == 1 ');
    await page.keyboard.press('Escape');
    await page.locator('.cm-lintRange-error').waitFor();
    assert.equal(await page.locator('.cm-lintRange-error').first().textContent(), 'NoSuchColumn');
  });
  await check('logs: the meaning of a word is shown', async () => {
    await write('Interactions | count ');
    await page.keyboard.press('Escape');
    await page.locator('.cm-line').getByText('count').hover();
    await page.locator('.hover').waitFor();
  });
  await check('logs: a query is laid out', async () => {
    await write('Interactions|where TotalTokens>10|count ');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Format' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.cm-line').length === 3);
  });
  await check('logs: both sample queries of the reference architecture answer rows', async () => {
    for (const name of ['Usage by address and model', 'Prompt usage']) {
      await browser.open(page, '/logs');
      await page.getByText('Saved queries', { exact: true }).click();
      await page.getByRole('button', { name }).click();
      await page.locator('.virtual-row, .cover').first().waitFor();
      await reveal(page);
      await page.locator('.virtual-row').first().waitFor();
    }
    assert.deepEqual(page.bad, []);
  });
  await check('logs: a selection is run by itself', async () => {
    await write('Interactions | count; print answer = 42 ');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+Home');
    for (let at = 0; at < 'Interactions | count'.length; at += 1) {
      await page.keyboard.press('Shift+ArrowRight');
    }
    await page.keyboard.press('Control+Enter');
    await page.getByText(/^1 row in /).waitFor();
    assert.equal(await page.getByRole('gridcell', { name: '42', exact: true }).count(), 0);
  });
  await check(
    'logs: simple mode makes queries by clicks, and its clicks are in the address',
    async () => {
      page.bad = [];
      await browser.open(page, '/logs?mode=simple');
      await page.getByRole('button', { name: 'Add a condition' }).click();
      await page.getByLabel('Column').selectOption('DeploymentName');
      await page.getByLabel('Test').selectOption('contains');
      await page.getByLabel('Value').fill('mini "quoted"');
      await page.getByLabel('Value').fill('mini');
      await page.getByLabel('By', { exact: true }).selectOption('ModelName');
      await page.locator('.simple').getByRole('button', { name: 'Run' }).click();
      await page.getByText(/^1 row in /).waitFor();
      await page.reload();
      await page.getByText(/^1 row in /).waitFor();
      assert.equal(await page.getByLabel('Value').inputValue(), 'mini');
      assert.equal(await page.getByLabel('By', { exact: true }).inputValue(), 'ModelName');
      assert.deepEqual(page.bad, []);
    },
  );
  await page.context().close();
}
