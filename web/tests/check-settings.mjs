// What is in force with who set it; a product from its first version to its rollback; a part of the ledger.
import assert from 'node:assert/strict';

export async function checkSettings(browser, { admin, check, recorded }) {
  const page = await browser.page();
  await check('settings: each value with who set it, secrets as references', async () => {
    await browser.open(page, '/settings?set=file');
    await page.getByRole('cell', { name: 'admin.listen', exact: true }).waitFor();
    const text = await page.locator('main').textContent();
    assert.ok(text.includes('gatehouse.secret'), 'the reference of a secret is not shown');
    assert.ok(!/[0-9a-f]{64}/.test(text), 'something like a hash of a key is shown');
    await page.getByLabel('Setting', { exact: true }).fill('durability');
    await page.getByLabel('Set by').selectOption('default');
    await page.getByRole('cell', { name: 'ledger.durability', exact: true }).waitFor();
    assert.ok(page.url().includes('q=durability'), 'the filter is not in the address');
  });
  await check('products: one is made, refused when it is wrong, changed', async () => {
    await browser.open(page, '/access?tab=products');
    await page.getByRole('button', { name: 'New product' }).click();
    const editor = page.getByLabel('Product as JSON');
    await editor.fill('{ "id": "from-the-portal", "limits": [{ "cals": 1 }] }');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('alert').getByText('cals').waitFor();
    await editor.fill('{ "id": "from-the-portal", "deployments": ["gpt-4o"] }');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('button', { name: 'Change from-the-portal' }).click();
    await editor.fill('{ "id": "from-the-portal", "deployments": ["gpt-4o-mini"] }');
    await page.getByLabel('Reason').fill(' product: smaller & cheaper ');
    await browser.screenshot(page, 'product-dialog');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('cell', { name: 'gpt-4o-mini', exact: true }).waitFor();
    await recorded('product: smaller & cheaper', ['products/put']);
  });
  await check('versions: what changed is shown, and can be rolled back', async () => {
    await browser.open(page, '/settings?tab=versions');
    const rows = page.getByRole('group', { name: 'Versions' }).locator('tbody tr');
    await rows.first().getByText('products/put').waitFor();
    await rows.first().getByRole('cell', { name: 'product: smaller & cheaper' }).waitFor();
    await rows.first().getByRole('button', { name: 'Changes' }).click();
    const diff = page.getByRole('group', { name: 'product from-the-portal' });
    await diff.locator('.diff-new', { hasText: 'gpt-4o-mini' }).waitFor();
    await rows.nth(1).getByRole('button', { name: 'Roll back' }).click();
    const goBack = page.getByRole('dialog').getByRole('button', { name: 'Roll back', exact: true });
    assert.ok(await goBack.isDisabled(), 'a rollback needs a reason');
    await page.getByLabel('Reason').fill('the portal tests it');
    await goBack.click();
    await rows.first().getByText('versions/rollback').waitFor();
    await browser.open(page, '/access?tab=products');
    await page.getByRole('cell', { name: 'gpt-4o', exact: true }).waitFor();
  });
  await check('budgets: one is made, refused when it is wrong, changed, removed', async () => {
    await browser.open(page, '/cost');
    const budgets = page.getByRole('group', { name: 'Budgets' });
    await page.getByRole('button', { name: 'New budget' }).click();
    await page.getByLabel('Id').fill('from-the-portal');
    await page.getByLabel('US dollars').fill('much');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('alert').getByText('a number above 0').waitFor();
    await page.getByLabel('US dollars').fill('0.5');
    await page.getByLabel('Model').fill('gpt-4o');
    await browser.screenshot(page, 'budget-dialog');
    await page.getByRole('button', { name: 'Save' }).click();
    const row = budgets.getByRole('row').filter({ hasText: 'from-the-portal' });
    await row.getByRole('cell', { name: 'gpt-4o', exact: true }).waitFor();
    await page.getByRole('button', { name: 'Change from-the-portal' }).click();
    await page.getByLabel('Each').selectOption('day');
    await page.getByLabel('Reason').fill('budget: ticket 4711');
    await page.getByRole('button', { name: 'Save' }).click();
    await row.getByRole('cell', { name: 'day', exact: true }).waitFor();
    await page.getByRole('button', { name: 'New budget' }).click();
    await page.getByLabel('Id').fill('from-the-portal');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('alert').getByText('there is one with this id already').waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Change from-the-portal' }).click();
    await page.getByLabel('Reason').fill('budget: ticket 4711');
    await page.getByRole('button', { name: 'Remove' }).click();
    await row.waitFor({ state: 'detached' });
    await budgets.getByRole('cell', { name: 'demo', exact: true }).waitFor();
    await recorded('budget: ticket 4711', ['budgets/put', 'budgets/delete']);
  });
  await check('changes: what somebody else changed meanwhile is not overwritten', async () => {
    const meanwhile = async (path, body) => {
      const response = await fetch(`${admin.base}/admin/v1/${path}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${admin.token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      assert.equal(response.status, 200, await response.text());
    };
    await meanwhile('budgets/raced', { amount_usd: 10 });
    await browser.open(page, '/cost');
    await page.getByRole('button', { name: 'Change raced' }).click();
    await page.getByLabel('US dollars').fill('20');
    await meanwhile('budgets/raced', { amount_usd: 30 });
    const told = page.getByRole('alert').getByText('Somebody else changed it meanwhile');
    for (const name of ['Save', 'Remove']) {
      await page.getByRole('button', { name }).click();
      await told.waitFor();
    }
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Change raced' }).click();
    assert.equal(await page.getByLabel('US dollars').inputValue(), '30');
    await page.getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('button', { name: 'Change raced' }).waitFor({ state: 'detached' });
    await browser.open(page, '/access?tab=products');
    await page.getByRole('button', { name: 'Change from-the-portal' }).click();
    const editor = page.getByLabel('Product as JSON');
    await editor.fill('{ "id": "from-the-portal", "deployments": ["mine"] }');
    await meanwhile('products/from-the-portal', { deployments: ['theirs'] });
    await page.getByRole('button', { name: 'Save' }).click();
    await told.waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Change from-the-portal' }).click();
    assert.match(await editor.inputValue(), /theirs/);
    await page.getByRole('button', { name: 'Cancel' }).click();
  });
  await check('audit: a part of the ledger is proved', async () => {
    await browser.open(page, '/audit?from_place=1&to_place=10');
    await page.getByRole('button', { name: 'Verify now' }).click();
    await page.getByText(/^(this part is )?clean$/).waitFor();
    await page.getByLabel('From').fill('long ago');
    await page.getByRole('button', { name: 'Verify now' }).click();
    await page.getByText('neither a sequence nor a time').waitFor();
    // That refusal is a 400, which the browser notes by itself.
    page.bad = page.bad.filter((what) => !/40[0-9]|412|422/.test(what));
    assert.deepEqual(page.bad, []);
  });
  await page.context().close();
}
