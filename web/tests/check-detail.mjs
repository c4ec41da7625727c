// One request in full: which way it went, and what it differs in from another.
import assert from 'node:assert/strict';
import { reveal } from './browser.mjs';

export async function checkDetail(browser, { ask, caller, check, visible }) {
  const page = await browser.page();
  const idOf = async (agent) => {
    const [[id]] = await visible(
      `Interactions | where UserAgent == '${agent}' | project CorrelationId`,
      (rows) => rows.length > 0,
    );
    return id;
  };
  await check('route: each attempt at a backend, and its answer', async () => {
    await caller.chat('Is anybody there?', { agent: 'twice', fault: 'status=503' });
    await browser.open(page, `/requests/${await idOf('twice')}?tab=route`);
    const rows = page.getByRole('group', { name: 'Attempts' }).getByRole('row');
    assert.ok((await rows.count()) >= 3, 'a heading and two attempts');
    assert.match(await rows.nth(1).textContent(), /none that was passed on/);
    assert.match(await rows.nth(2).textContent(), /503/);
    await browser.screenshot(page, 'route-of-attempts');
    assert.deepEqual(page.bad, []);
  });
  await check('compare: facts and bodies that differ stand side by side', async () => {
    await caller.chat('The first of two', { agent: 'first of two' });
    await caller.chat('The second of two', { agent: 'second of two' });
    const [first, second] = [await idOf('first of two'), await idOf('second of two')];
    await browser.open(page, `/requests/${first}?tab=compare`);
    await page.getByLabel('Other request').fill(second);
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.getByRole('group', { name: 'Facts that differ' }).waitFor();
    assert.ok(page.url().includes(second), 'the other one stands in the address');
    await reveal(page);
    const body = page.getByRole('group', { name: 'Request body' });
    await body.waitFor();
    const lines = await body.locator('span').allTextContents();
    assert.ok(lines.some((text) => text.startsWith('- ') && text.includes('The first of two')));
    assert.ok(lines.some((text) => text.startsWith('+ ') && text.includes('The second of two')));
    assert.deepEqual(page.bad, []);
  });
  await check('conversation: images are drawn and audio can be heard', async () => {
    const [[image]] = await ask(
      "Interactions | where Kind == 'image' | take 1 | project CorrelationId",
    );
    await browser.open(page, `/requests/${image}`);
    await reveal(page);
    const drawn = page.locator('.medium img').first();
    await drawn.waitFor();
    await page.waitForFunction(() => document.querySelector('.medium img').naturalWidth > 0);
    assert.match(await drawn.getAttribute('src'), /^blob:/);
    assert.deepEqual(page.bad, []);
  });
  await check('erase: what was said goes, that it was said stays', async () => {
    await caller.chat('A thing to be forgotten', { agent: 'to be forgotten' });
    const id = await idOf('to be forgotten');
    await browser.open(page, `/requests/${id}`);
    await page.getByRole('button', { name: 'Erase content' }).click();
    const dialog = page.getByRole('dialog', { name: 'Erase content' });
    const order = dialog.getByRole('button', { name: 'Erase for good' });
    assert.ok(await order.isDisabled(), 'it takes a reason');
    await dialog.getByLabel('Why').fill('right to erasure, request 4711');
    await browser.screenshot(page, 'erase');
    await order.click();
    await page.locator('.empty-erased').waitFor();
    await page.getByText('content erased', { exact: true }).waitFor();
    assert.equal(await page.getByRole('button', { name: 'Erase content' }).count(), 0);
    await browser.screenshot(page, 'erased');
    const [[purpose]] = await visible(
      `Erasures | where CorrelationId == '${id}' | project Purpose`,
      (rows) => rows.length > 0,
    );
    assert.equal(purpose, 'right to erasure, request 4711');
    const [[tokens]] = await ask(
      `Interactions | where CorrelationId == '${id}' | project TotalTokens`,
    );
    assert.ok(tokens > 0, 'what it took stays');
    assert.deepEqual(page.bad, []);
  });
  await page.context().close();
  await checkEmptyStates(browser, { ask, check });
}

const QUERIES = '**/v1/rest/query';

/** What a screen looks like where the gateway answers otherwise than it does in a demo. */
async function checkEmptyStates(browser, { ask, check }) {
  const [[id]] = await ask("Interactions | where Kind == 'chat' | take 1 | project CorrelationId");
  const refuse = (status, detail) => async (route) => {
    const body = JSON.stringify({ error: { code: 'x', message: detail, '@message': detail } });
    await route.fulfill({ status, contentType: 'application/json', body });
  };
  const without = async (route) => {
    const response = await route.fetch();
    const wire = await response.json();
    const [table] = wire.Tables ?? [];
    const at = table?.Columns.findIndex(({ ColumnName }) => ColumnName === 'RequestBody') ?? -1;
    if (at >= 0) for (const row of table.Rows) row[at] = '';
    await route.fulfill({ response, json: wire });
  };
  const states = {
    'no-traffic': ['/requests?kind=nothing', null],
    'capture-off': [`/requests/${id}?tab=request`, without],
    'no-permission': ['/requests', refuse(403, 'one of the roles is needed')],
    expired: ['/requests/01900000-0000-7000-8000-000000000000', null],
    failed: ['/requests', refuse(500, 'the disk is gone')],
  };
  await check('empty states: five reasons look and read differently', async () => {
    const titles = new Set();
    const icons = new Set();
    for (const [kind, [path, answer]] of Object.entries(states)) {
      const page = await browser.page();
      if (answer) await page.route(QUERIES, answer);
      await browser.open(page, path);
      await reveal(page);
      const empty = page.locator(`.empty-${kind}`).first();
      await empty.waitFor();
      titles.add(await empty.locator('.empty-title').textContent());
      icons.add(await empty.locator('> .icon').innerHTML());
      await browser.screenshot(page, `empty-${kind}`);
      await page.context().close();
    }
    assert.equal(titles.size, 5, [...titles].join(', '));
    assert.ok(icons.size >= 4);
  });
}
