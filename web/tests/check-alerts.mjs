// Alert rules of the desired state: made, put in the place of built-in ones, changed and removed.
import assert from 'node:assert/strict';

const ID = 'from-the-portal';
const ON_GAUGE = 'on-a-gauge';
const BUILT_IN = 'Many callers are refused';

export async function checkAlerts(browser, tools) {
  const page = await browser.page();
  await checkMaking(browser, page, tools);
  await checkReplacing(browser, page, tools);
  await checkChanging(browser, page, tools);
  await checkReading(browser, tools);
  await checkRemoving(browser, page, tools);
  await page.context().close();
}

const button = (page, name) => page.getByRole('button', { name, exact: true });
const rowOf = (page, text) =>
  page.getByRole('group', { name: 'Rules' }).getByRole('row').filter({ hasText: text });

async function checkMaking(browser, page, { admin, check, recorded }) {
  await check('alerts: a rule is made, and refused with the reason while it is wrong', async () => {
    await page.route('**/admin/v1/alerts', async (route) => {
      const response = await route.fetch();
      await route.fulfill({
        response,
        json: { ...(await response.json()), sinks: ['of-another-gateway'] },
      });
    });
    await browser.open(page, '/alerts');
    await page.unroute('**/admin/v1/alerts');
    await button(page, 'New rule').focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Id', { exact: true }).fill(ID);
    await dialog.getByLabel('Name', { exact: true }).fill('Called through the portal');
    await dialog.getByLabel('KQL query').fill('Interactions\n| where (');
    await dialog.getByLabel('Threshold').fill('many');
    await button(dialog, 'Save').click();
    await dialog.getByRole('alert').getByText('“Threshold” is a number.').waitFor();
    await dialog.getByLabel('Threshold').fill('1000000');
    await button(dialog, 'Save').click();
    await dialog.getByRole('alert').getByText(`alert rule \`${ID}\`: line 2, column `).waitFor();
    await browser.screenshot(page, 'alert-rule-refused');
    await dialog.getByLabel('KQL query').fill('Interactions | where ResponseCode == 200');
    await dialog.getByLabel('Over the last, in seconds').fill('5');
    await button(dialog, 'Save').click();
    await dialog.getByRole('alert').getByText('make it at least as long').waitFor();
    await dialog.getByLabel('Over the last, in seconds').fill('600');
    await dialog.getByLabel('Severity').selectOption('4');
    await button(dialog, 'Add a property').click();
    await dialog.getByLabel('Property', { exact: true }).fill('team');
    await dialog.getByLabel('Value', { exact: true }).fill('a=b, c');
    await button(dialog, 'Add a property').click();
    await dialog.getByLabel('Value', { exact: true }).nth(1).fill('of nothing');
    await button(dialog, 'Save').click();
    await dialog.getByRole('alert').getByText('names have 1 to 128 characters').waitFor();
    await dialog.getByLabel('Property', { exact: true }).nth(1).fill(' team ');
    await button(dialog, 'Save').click();
    await dialog.getByRole('alert').getByText('“team” has two values.').waitFor();
    await button(dialog, 'Take property 2 away').click();
    await dialog.getByLabel('of-another-gateway').check();
    await button(dialog, 'Save').click();
    await dialog
      .getByRole('alert')
      .getByText('which is not there: add it under alerts.sinks')
      .waitFor();
    await dialog.getByLabel('of-another-gateway').uncheck();
    await dialog.getByLabel('Reason').fill('alert rule: ticket 4711');
    // All of it is within reach of the keyboard.
    await dialog.getByLabel('Name', { exact: true }).press('Enter');
    const row = rowOf(page, 'Called through the portal');
    await row.getByText('desired state', { exact: true }).waitFor();
    await row.getByText('4 verbose').waitFor();
    await recorded('alert rule: ticket 4711', ['alert-rules/put']);
    await button(page, 'New rule').click();
    await dialog.getByLabel('Id', { exact: true }).fill(ID);
    await dialog.getByLabel('Looks at').selectOption('gauge');
    await dialog.getByLabel('Gauge', { exact: true }).selectOption('gatehouse_backend_up');
    await button(dialog, 'Add a label').click();
    await dialog.getByLabel('Label', { exact: true }).fill('backend');
    await dialog.getByLabel('Value', { exact: true }).fill('simulator');
    await browser.screenshot(page, 'alert-rule-gauge');
    await dialog.getByLabel('Id', { exact: true }).press('Enter');
    await dialog.getByRole('alert').getByText('there is one with this id already').waitFor();
    await dialog.getByLabel('Id', { exact: true }).fill(ON_GAUGE);
    await button(dialog, 'Save').click();
    await rowOf(page, ON_GAUGE).waitFor();
    const headers = { authorization: `Bearer ${admin.token}` };
    const kept = async (id) =>
      (await fetch(`${admin.base}/admin/v1/alert-rules/${id}`, { headers })).json();
    assert.deepEqual((await kept(ID)).custom_properties, { team: 'a=b, c' });
    assert.deepEqual((await kept(ON_GAUGE)).metric_labels, { backend: 'simulator' });
    await button(page, `Change ${ON_GAUGE}`).click();
    assert.equal(await dialog.getByLabel('Label', { exact: true }).inputValue(), 'backend');
    await button(dialog, 'Take label 1 away').click();
    await button(dialog, 'Save').click();
    await dialog.waitFor({ state: 'detached' });
    assert.deepEqual((await kept(ON_GAUGE)).metric_labels, {});
    await button(page, 'Test Called through the portal').click();
    await dialog.getByText('It has no sink that could be told').waitFor();
    await button(dialog, 'Close').last().click();
  });
}

async function checkReplacing(browser, page, { check }) {
  await check('alerts: one of the state takes the place of a built-in one, and goes', async () => {
    const row = rowOf(page, BUILT_IN);
    await row.getByText('built in', { exact: true }).waitFor();
    assert.equal(await button(page, `Remove ${BUILT_IN}`).count(), 0);
    await button(page, `Change ${BUILT_IN}`).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('takes the place of the built-in rule with this id').waitFor();
    assert.equal(await dialog.getByLabel('Id', { exact: true }).count(), 0);
    await browser.screenshot(page, 'alert-rule-replace');
    await dialog.getByLabel('Look at it').uncheck();
    await button(dialog, 'Save').click();
    await row.getByText('desired state', { exact: true }).waitFor();
    await row.getByText('off', { exact: true }).waitFor();
    await button(page, `Remove ${BUILT_IN}`).click();
    await dialog.getByText('the built-in rule with this id takes its place').waitFor();
    await browser.screenshot(page, 'alert-rule-remove');
    await button(dialog, 'Remove').click();
    await row.getByText('built in', { exact: true }).waitFor();
    assert.equal(await row.getByText('off', { exact: true }).count(), 0);
  });
}

async function checkChanging(browser, page, { check, admin }) {
  await check('alerts: a rule is changed, and not over what is new', async () => {
    const dialog = page.getByRole('dialog');
    await button(page, 'Change Called through the portal').click();
    assert.equal(await dialog.getByLabel('Threshold').inputValue(), '1000000');
    await dialog.getByLabel('Threshold').fill('2000000');
    const response = await fetch(`${admin.base}/admin/v1/alert-rules/${ID}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${admin.token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'Called through the portal', query: 'Messages', threshold: 7 }),
    });
    assert.equal(response.status, 200, await response.text());
    await button(dialog, 'Save').click();
    await dialog.getByRole('alert').getByText('Somebody else changed it meanwhile').waitFor();
    await button(dialog, 'Cancel').click();
    await button(page, 'Change Called through the portal').click();
    assert.equal(await dialog.getByLabel('Threshold').inputValue(), '7');
    assert.equal(await dialog.getByLabel('KQL query').inputValue(), 'Messages');
    await dialog.getByLabel('Threshold').fill('8');
    await dialog.getByLabel('A value for each of these columns').fill('DeploymentName, Role');
    await button(dialog, 'Save').click();
    await rowOf(page, 'Called through the portal')
      .getByRole('cell', { name: '8', exact: true })
      .waitFor();
    await browser.screenshot(page, 'alert-rules');
  });
  await check('alerts: the form has room in a narrow window', async () => {
    const narrow = await browser.page({ theme: 'dark', width: 390 });
    await browser.open(narrow, '/alerts');
    await button(narrow, 'Change Called through the portal').click();
    const dialog = narrow.getByRole('dialog');
    const columns = dialog.getByLabel('A value for each of these columns');
    assert.equal(await columns.inputValue(), 'DeploymentName, Role');
    const room = await dialog.evaluate((it) => [it.scrollWidth, it.clientWidth]);
    assert.ok(room[0] <= room[1], `the dialog is ${room[0]} pixels wide, there are ${room[1]}`);
    await browser.screenshot(narrow, 'alert-rule-narrow-dark');
    await button(dialog, 'Save').scrollIntoViewIfNeeded();
    await browser.screenshot(narrow, 'alert-rule-narrow-dark-end');
    assert.deepEqual(narrow.bad, []);
    await narrow.context().close();
  });
}

async function checkReading(browser, { check }) {
  await check('alerts: who is no administrator sees whose a rule is, and tests it', async () => {
    const reader = await browser.page({ theme: 'dark', width: 390 });
    await reader.route('**/admin/v1/me', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), roles: ['operator'] } });
    });
    await browser.open(reader, '/alerts');
    await rowOf(reader, 'Called through the portal').getByText('desired state').waitFor();
    await button(reader, 'Test Called through the portal').waitFor();
    for (const name of [
      'New rule',
      'Change Called through the portal',
      'Remove Called through the portal',
    ]) {
      assert.equal(await button(reader, name).count(), 0, `${name} is shown`);
    }
    const room = await reader.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(room <= 390, `the screen is ${room} pixels wide`);
    await rowOf(reader, 'Called through the portal').scrollIntoViewIfNeeded();
    await browser.screenshot(reader, 'alert-rules-narrow-dark');
    assert.deepEqual(reader.bad, []);
    await reader.context().close();
  });
}

async function checkRemoving(browser, page, { check, recorded }) {
  await check('alerts: a rule is removed, and nothing takes its place', async () => {
    const dialog = page.getByRole('dialog');
    await button(page, 'Remove Called through the portal').click();
    await dialog.getByText('Nothing takes its place').waitFor();
    await button(dialog, 'Cancel').click();
    await button(page, 'Remove Called through the portal').click();
    await dialog.getByLabel('Reason').fill('alert rule: no longer');
    await button(dialog, 'Remove').click();
    await rowOf(page, 'Called through the portal').waitFor({ state: 'detached' });
    await recorded('alert rule: no longer', ['alert-rules/delete']);
    await browser.open(page, '/settings?tab=versions');
    await page.getByText('alert-rules/delete').first().waitFor();
    // The browser notes by itself what was refused: what was taken, wrong or changed meanwhile.
    assert.deepEqual(
      page.bad.filter((what) => !/status of 4(12|22)/.test(what)),
      [],
    );
  });
}
