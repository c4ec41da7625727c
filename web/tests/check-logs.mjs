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
  await page.context().close();
}
