// What ends appears by itself, and stays away while the tail is paused.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
  await check('timeline: the first token, and the gap in which nothing came', async () => {
    await caller.chat('Take your time', { stream: true, agent: 'patient', fault: 'stall=900' });
    const [[id]] = await visible(
      "Interactions | where UserAgent == 'patient' | project CorrelationId",
      (rows) => rows.length > 0,
    );
    await browser.open(page, `/requests/${id}?tab=timeline`);
    const told = await page.getByText(/^\d+ pieces from/).textContent();
    const [, gap] = /longest gap ([\d.]+) ms/.exec(told) ?? [];
    assert.ok(gap > 850 && gap < 5 * SECOND, told);
    // It pauses after its first event, which says no word yet.
    const [, first] = /first token after ([\d.,]+) m?s/.exec(told) ?? [];
    assert.ok(first > 850 || told.includes('first token after 1'), told);
    await page.getByText('Every moment in which pieces came').click();
    const moments = page.getByRole('group', { name: 'Moments' }).getByRole('row');
    assert.ok((await moments.count()) >= 3, 'a heading and two moments at least');
    await browser.screenshot(page, 'timeline-of-a-pause');
    assert.deepEqual(page.bad, []);
  });
  await check('audit: the ledger is proved on demand', async () => {
    await browser.open(page, '/audit');
    await page.getByRole('button', { name: 'Verify now' }).click();
    await page.getByText('clean', { exact: true }).waitFor();
    await browser.screenshot(page, 'audit-verified');
    assert.deepEqual(page.bad, []);
  });
  await check('audit: what is saved there proves the ledger offline', () =>
    proveOffline(page, browser, visible),
  );
  await page.context().close();
}

/** Saves key and checkpoint as an auditor does, and hands them to the command line. */
async function proveOffline(page, browser, visible) {
  const { GATEHOUSE, GATEHOUSE_CONFIG, PORTAL_ARTEFACTS } = process.env;
  await visible('LedgerCheckpoints | count', ([[count]]) => count > 0);
  await browser.open(page, '/audit');
  const save = async (name) => {
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name }).click(),
    ]);
    const path = join(PORTAL_ARTEFACTS, file.suggestedFilename());
    await file.saveAs(path);
    return path;
  };
  const [key, checkpoint] = [await save('Save public key'), await save('Save checkpoint')];
  const verify = (...files) => {
    const known = ['--public-key', files[0], '--checkpoint', files[1]];
    const run = spawnSync(GATEHOUSE, ['audit', 'verify', '--config', GATEHOUSE_CONFIG, ...known], {
      encoding: 'utf8',
    });
    return [run.status, run.stdout + run.stderr];
  };
  const [status, said] = verify(key, checkpoint);
  assert.equal(status, 0, said);
  assert.match(said, /^signed {8}up to sequence \d+/m);
  // A checkpoint that says something else is none that the key has signed.
  const text = readFileSync(checkpoint, 'utf8').split('\n');
  writeFileSync(checkpoint, [text[0], Number(text[1]) + 1, ...text.slice(2)].join('\n'));
  assert.match(verify(key, checkpoint)[1], /none of the public keys has signed it/);
  assert.deepEqual(page.bad, []);
}
