// Tiles of KQL with parameters, which travel as JSON.
import assert from 'node:assert/strict';

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

export async function checkDashboards(browser, { check }) {
  const page = await browser.page();
  const json = page.getByLabel('Name, parameters, tiles.');
  await check('dashboards: one is imported, asked with a parameter, and exported', async () => {
    await browser.open(page, '/dashboards');
    await page.getByRole('button', { name: 'Import' }).click();
    await json.fill('{"format": 1}');
    await page.getByRole('button', { name: 'Keep in this browser' }).click();
    await page.getByRole('alert').getByText('"name" is missing').waitFor();
    await json.fill(JSON.stringify(OWN));
    await page.getByRole('button', { name: 'Keep in this browser' }).click();
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
    await page.getByRole('button', { name: 'Edit or export' }).click();
    assert.deepEqual(JSON.parse(await json.inputValue()), OWN);
    assert.deepEqual(page.bad, []);
  });
  await page.context().close();
  await check('dashboards: where one is not, that is said', async () => {
    const other = await browser.page();
    await browser.open(other, '/dashboards?name=Of+one+deployment');
    await other.getByText('holds no dashboard named “Of one deployment”').waitFor();
    await other.context().close();
  });
}
