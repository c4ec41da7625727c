// A subscription from its first key to its suspension.
import assert from 'node:assert/strict';
import { Caller } from './traffic.mjs';

export async function checkAccess(browser, { caller, check, recorded }) {
  const page = await browser.page();
  const keyShown = async (name) => (await page.getByRole('group', { name }).textContent()).trim();
  const works = async (key) =>
    (await new Caller(caller.endpoint, key).chat('Does this key work?')).status;
  let first = '';
  await check('access: a new subscription has two keys that work, shown once', async () => {
    await browser.open(page, '/access');
    await page.getByRole('button', { name: 'New subscription' }).click();
    await page.getByLabel('Id').fill('from-the-portal');
    await page.getByLabel('Reason').fill('subscription: a new team');
    await page.getByRole('button', { name: 'Make it and show its keys' }).click();
    first = await keyShown('First key');
    const second = await keyShown('Second key');
    assert.equal(await works(first), 200);
    assert.equal(await works(second), 200);
    await page.getByRole('button', { name: 'I have kept them' }).click();
    assert.ok(!(await page.content()).includes(first), 'the key is still in the page');
  });
  await check('access: a rotated key works at once, the one before no longer', async () => {
    await page.getByRole('button', { name: 'Rotate a key of from-the-portal' }).click();
    await page.getByLabel('The key before').selectOption('0');
    await page.getByLabel('Reason').fill('subscription: a key leaked');
    await page.getByRole('button', { name: 'Rotate and show the new key' }).click();
    const fresh = await keyShown('First key');
    assert.equal(await works(fresh), 200);
    assert.equal(await works(first), 401);
    first = fresh;
    await page.getByRole('button', { name: 'I have kept them' }).click();
  });
  await check('access: a suspended subscription is refused, an activated one is not', async () => {
    await page.getByRole('button', { name: 'Suspend from-the-portal' }).click();
    await page.getByRole('button', { name: 'Activate from-the-portal' }).waitFor();
    assert.notEqual(await works(first), 200);
    await page.getByRole('button', { name: 'Activate from-the-portal' }).click();
    await page.getByRole('button', { name: 'Suspend from-the-portal' }).waitFor();
    assert.equal(await works(first), 200);
    assert.deepEqual(page.bad, []);
  });
  await check('access: who changed what is under Audit', async () => {
    await page.waitForTimeout(1000);
    await browser.open(page, '/audit?tab=actions');
    await page.getByText('subscriptions/create').first().waitFor();
    await page.getByRole('cell', { name: 'subscription: a new team' }).waitFor();
    await recorded('subscription: a key leaked', ['subscriptions/rotate']);
    assert.deepEqual(page.bad, []);
  });
  await page.context().close();
}
