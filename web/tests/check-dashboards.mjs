// Tiles of KQL with parameters, which travel as JSON, or are shared with everybody.
import assert from 'node:assert/strict';
import { settled } from './browser.mjs';

const OWN = {
  format: 1,
  name: 'Of one deployment',
  parameters: [{ name: 'Wanted', type: 'string', first: 'gpt-4o' }],
  tiles: [
    {
      title: 'Calls of it',
      query: 'Interactions | where DeploymentName == Wanted | summarize Calls = count() by Wanted',
      isWide: false,
    },
  ],
};
const SPAN = { name: 'Span', type: 'timespan', first: '24h' };
const SHARED = '/dashboards?shared=of-one-deployment';

export async function checkDashboards(browser, tools) {
  const page = await browser.page();
  await checkOwn(browser, page, tools);
  await checkShared(browser, page, tools);
  await page.context().close();
}

const jsonOf = (page) => page.getByLabel('Name, parameters, tiles.');
const button = (page, name) => page.getByRole('button', { name, exact: true });

async function checkOwn(browser, page, { check }) {
  const json = jsonOf(page);
  await check('dashboards: one is imported, asked with a parameter, and exported', async () => {
    await browser.open(page, '/dashboards');
    await button(page, 'Import').click();
    await json.fill('{"format": 1}');
    await button(page, 'Keep in this browser').click();
    await page.getByRole('alert').getByText('"name" is missing').waitFor();
    await json.fill(JSON.stringify(OWN));
    await button(page, 'Keep in this browser').click();
    const tile = page.getByRole('region', { name: 'Calls of it' });
    await tile.getByText('gpt-4o', { exact: true }).waitFor();
    // A value is never code.
    await page.getByLabel('Wanted').fill('gpt-4o-mini" or true or "');
    await page.keyboard.press('Enter');
    await tile.getByText('gpt-4o', { exact: true }).waitFor({ state: 'detached' });
    await page.getByLabel('Wanted').fill('gpt-4o-mini');
    await page.keyboard.press('Enter');
    await tile.getByText('gpt-4o-mini', { exact: true }).waitFor();
    assert.match(page.url(), /name=Of\+one\+deployment.*p\.Wanted=gpt-4o-mini/);
    await button(page, 'Edit or export').click();
    assert.deepEqual(JSON.parse(await json.inputValue()), OWN);
    await button(page, 'Cancel').click();
    assert.deepEqual(page.bad, []);
  });
  await check('dashboards: another one takes over the parameters that it has too', async () => {
    const choice = page.getByLabel('Dashboard', { exact: true });
    await page.getByRole('button', { name: 'Import' }).click();
    const alike = { ...OWN, name: 'Alike', parameters: [...OWN.parameters, SPAN] };
    await json.fill(JSON.stringify(alike));
    await button(page, 'Keep in this browser').click();
    await page.waitForURL(/name=Alike.*p\.Wanted=gpt-4o-mini/);
    await page.getByLabel('Span').fill('1h');
    await page.keyboard.press('Enter');
    await page.waitForURL(/p\.Span=1h/);
    await choice.selectOption('built-in Models at a glance');
    await page.waitForURL((url) => url.search === '?p.Span=1h');
    assert.equal(await page.getByLabel('Span').inputValue(), '1h');
    await choice.selectOption('own Of one deployment');
    await page.waitForURL((url) => url.search === '?name=Of+one+deployment');
    assert.equal(await page.getByLabel('Wanted').inputValue(), 'gpt-4o');
    assert.deepEqual(page.bad, []);
  });
  await check('dashboards: where one is not, that is said', async () => {
    const other = await browser.page();
    await browser.open(other, '/dashboards?name=Of+one+deployment');
    await other.getByText('holds no dashboard named “Of one deployment”').waitFor();
    await browser.open(other, SHARED);
    await other.getByText('No shared dashboard has the id “of-one-deployment”').waitFor();
    assert.deepEqual(other.bad, []);
    await other.context().close();
  });
}

async function checkShared(browser, page, { check, recorded }) {
  const other = await browser.page();
  const json = jsonOf(page);
  await check('dashboards: an own one is shared, and found in another browser', async () => {
    await button(page, 'Share').click();
    assert.equal(await page.getByLabel('Id').inputValue(), 'of-one-deployment');
    await page.getByLabel('Reason').fill('dashboard: everybody asks');
    await browser.screenshot(page, 'dashboard-share');
    // All of it is within reach of the keyboard.
    await page.getByLabel('Id').press('Enter');
    await page.getByText('everybody sees it').waitFor();
    assert.match(page.url(), /shared=of-one-deployment/);
    for (const address of [SHARED, '/dashboards?name=Of+one+deployment']) {
      await browser.open(other, address);
      await other.getByRole('region', { name: 'Calls of it' }).waitFor();
      await other.getByText('everybody sees it').waitFor();
    }
    const chosen = other.getByLabel('Dashboard', { exact: true }).locator('option:checked');
    assert.equal(await chosen.textContent(), 'Of one deployment (shared)');
    await browser.screenshot(other, 'dashboard-shared');
    const choice = page.getByLabel('Dashboard', { exact: true });
    await choice.focus();
    await choice.selectOption('own Of one deployment');
    await button(page, 'Share').waitFor();
    assert.ok(await choice.evaluate((it) => it === document.activeElement), 'the focus is lost');
    await button(page, 'Share').click();
    await page.getByLabel('Id').fill('of-one-deployment');
    await page.getByLabel('Id').press('Enter');
    await page.getByRole('alert').getByText('there is one with this id already').waitFor();
    await button(page, 'Cancel').click();
  });
  await check('dashboards: a shared one is changed, and not over what is new', async () => {
    await browser.open(page, SHARED);
    await button(page, 'Change').click();
    const found = JSON.parse(await json.inputValue());
    assert.deepEqual(found, OWN);
    const { width } = await json.boundingBox();
    assert.ok(width > 400, `there are ${width} pixels for the JSON`);
    const titled = (title, query = OWN.tiles[0].query) =>
      JSON.stringify({ ...OWN, tiles: [{ ...OWN.tiles[0], title, query }] });
    await json.fill(titled('Broken', 'Interactions | where ('));
    await button(page, 'Save for everybody').click();
    await page.getByRole('alert').getByText('tile `Broken`: line 1, column ').waitFor();
    await browser.screenshot(page, 'dashboard-change');
    await browser.open(other, SHARED);
    await button(other, 'Change').click();
    await jsonOf(other).waitFor();
    await json.fill(titled('Calls, as I count'));
    await page.getByLabel('Reason').fill('dashboard: everybody asks');
    await button(page, 'Save for everybody').click();
    await page.getByRole('region', { name: 'Calls, as I count' }).waitFor();
    await jsonOf(other).fill(titled('Calls, as they count'));
    await button(other, 'Save for everybody').click();
    await other.getByRole('alert').getByText('Somebody else changed it meanwhile').waitFor();
    await button(other, 'Cancel').click();
    await button(other, 'Change').click();
    assert.match(await jsonOf(other).inputValue(), /as I count/);
    await button(other, 'Cancel').click();
  });
  await check('dashboards: who is no administrator copies a shared one', async () => {
    const reader = await browser.page({ theme: 'dark', width: 390 });
    await reader.route('**/admin/v1/me', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), roles: ['operator'] } });
    });
    await browser.open(reader, SHARED);
    await reader.getByRole('region', { name: 'Calls, as I count' }).waitFor();
    for (const name of ['Change', 'Remove', 'Share']) {
      assert.equal(await button(reader, name).count(), 0, `${name} is shown`);
    }
    const room = await reader.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(room <= 390, `the screen is ${room} pixels wide`);
    await browser.screenshot(reader, 'dashboard-shared-narrow-dark');
    await button(reader, 'Copy or export').click();
    await button(reader, 'Keep in this browser').click();
    await reader.waitForURL(/name=Of\+one\+deployment%2C\+own/);
    await reader.getByRole('region', { name: 'Calls, as I count' }).waitFor();
    assert.equal(await button(reader, 'Share').count(), 0, 'Share is shown');
    assert.deepEqual(reader.bad, []);
    await reader.context().close();
  });
  await check('dashboards: a shared one is removed, for everybody', async () => {
    await button(page, 'Remove').click();
    await page.getByText('Nobody will see “Of one deployment” any more').waitFor();
    await browser.screenshot(page, 'dashboard-remove');
    await button(page, 'Cancel').click();
    await button(page, 'Remove').click();
    await page.getByLabel('Reason').fill('dashboard: everybody asks');
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('region', { name: 'Calls by deployment' }).waitFor();
    await other.reload();
    await settled(other);
    await other.getByText('it was removed, or the address is not whole').waitFor();
    await browser.open(page, '/settings?tab=versions');
    await page.getByText('dashboards/delete').first().waitFor();
    const operations = ['dashboards/put', 'dashboards/put', 'dashboards/delete'];
    await recorded('dashboard: everybody asks', operations);
    // The browser notes by itself what was refused: what was taken, wrong or changed meanwhile.
    for (const { bad } of [page, other]) {
      assert.deepEqual(
        bad.filter((what) => !/status of 4(12|22)/.test(what)),
        [],
      );
    }
  });
  await check('dashboards: where shared ones cannot be listed, that is said', async () => {
    await other.route('**/admin/v1/dashboards', (route) =>
      route.fulfill({ status: 503, json: { detail: 'the database rests' } }),
    );
    await browser.open(other, '/dashboards');
    await other.getByRole('alert').getByText('the database rests').waitFor();
    await other.getByRole('region', { name: 'Calls by deployment' }).waitFor();
    await other.unroute('**/admin/v1/dashboards');
    await button(other, 'Try again').click();
    await other.getByText('the database rests').waitFor({ state: 'detached' });
  });
  await other.context().close();
}
