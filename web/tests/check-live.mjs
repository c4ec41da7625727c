// What ends appears by itself, and stays away while the tail is paused.
import assert from 'node:assert/strict';
import { reveal } from './browser.mjs';

const SECOND = 1000;

export async function checkLive(browser, { caller, check, ask, visible }) {
  const page = await browser.page();
  await check('live: a call is seen within a second of its end', async () => {
    await browser.open(page, '/live?kind=embedding');
    await page.getByText('live', { exact: true }).waitFor();
    const rows = page.locator('.virtual-row');
    const before = await rows.count();
    const path = '/openai/deployments/text-embedding-3-small/embeddings';
    await caller.call(path, { input: 'seen at once' });
    const ended = Date.now();
    await page.waitForFunction(
      (count) => document.querySelectorAll('.virtual-row').length > count,
      before,
    );
    const waited = Date.now() - ended;
    console.log(`live: seen after ${waited} ms`);
    assert.ok(waited < 5 * SECOND, `it took ${waited} ms`);
  });
  await check('live: what ends while paused is held back, then shown', async () => {
    await page.getByRole('button', { name: 'Pause' }).click();
    const before = await page.locator('.virtual-row').count();
    await caller.call('/openai/deployments/text-embedding-3-small/embeddings', {
      input: 'held back',
    });
    await page.getByText('paused, 1 held back').waitFor();
    assert.equal(await page.locator('.virtual-row').count(), before);
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.waitForFunction(
      (count) => document.querySelectorAll('.virtual-row').length > count,
      before,
    );
    assert.deepEqual(page.bad, []);
  });
  await check('integrity: the bytes in the ledger are those of the table', async () => {
    const [[id]] = await ask(
      "Interactions | where Kind == 'chat' and IsStreamCompletion | take 1 | project CorrelationId",
    );
    await browser.open(page, `/requests/${id}?tab=integrity`);
    await reveal(page);
    assert.equal(await page.getByText('unchanged', { exact: true }).count(), 2);
    await page.getByText('both are there').waitFor();
  });
  await check('response: the events of a stream as they passed', async () => {
    const [[id]] = await ask(
      "Interactions | where Kind == 'chat' and IsStreamCompletion | take 1 | project CorrelationId",
    );
    await browser.open(page, `/requests/${id}?tab=response`);
    await reveal(page);
    await page.getByRole('button', { name: 'Read the bytes' }).click();
    const raw = await page.getByRole('group', { name: 'response as it passed' }).textContent();
    assert.ok(raw.startsWith('data: {') && raw.includes('data: [DONE]'), raw.slice(0, 200));
    await visible(
      `ContentReads | where InteractionId == '${id}' and Columns has 'ResponseBody' | count`,
      ([[reads]]) => reads > 0,
    );
  });
  await check('audit: the ledger is proved on demand', async () => {
    await browser.open(page, '/audit');
    await page.getByRole('button', { name: 'Verify now' }).click();
    await page.getByText('clean', { exact: true }).waitFor();
    await browser.screenshot(page, 'audit-verified');
    assert.deepEqual(page.bad, []);
  });
  await page.context().close();
}
