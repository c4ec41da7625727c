// Measures how soon the first rows of Requests are there, and how long frames take while 10,000 rows
// scroll by, and prints it. Not a check: machines differ. PORTAL_RANGE is a part of the address, `last=30d`
// or `from=…&to=…`.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Browser } from './browser.mjs';
import { scroll } from './frames.mjs';

const ROWS = 10_000;
const config = readFileSync(process.env.GATEHOUSE_CONFIG, 'utf8');
const token = readFileSync(
  join(dirname(process.env.GATEHOUSE_CONFIG), 'admin-token'),
  'utf8',
).trim();
const address = process.env.PORTAL_ADDRESS ?? /^admin:\n\s+listen: (\S+)$/m.exec(config)[1];
const browser = await Browser.start({
  base: `http://${address}`,
  token,
  artefacts: process.env.PORTAL_ARTEFACTS,
});
const page = await browser.page();
const range = process.env.PORTAL_RANGE ?? 'last=30d';
for (const [name, path] of [
  ['Requests', `/requests?${range}`],
  ['Requests, one model', `/requests?${range}&model=gpt-4o`],
  ['Requests, again', `/requests?${range}`],
]) {
  const began = performance.now();
  await page.goto(`http://${address}${path}`);
  await page.locator('.virtual-row').first().waitFor();
  console.log(`${name}: first rows after ${Math.round(performance.now() - began)} ms`);
}
const figures = (name, values) => {
  const at = (share) => values[Math.floor(share * (values.length - 1))].toFixed(1);
  console.log(`${name}: median ${at(0.5)} ms, 95 % ${at(0.95)} ms, longest ${at(1)} ms`);
};
const measured = async (name) => {
  const { byClock, busy } = await scroll(page);
  figures(`${name}, a frame by the clock`, byClock);
  figures(`${name}, processor time of a step of two frames`, busy);
};
const held = await holdRows(page, ROWS);
await measured(`Requests, ${held} rows`);
const query = `range n from 1 to ${ROWS} step 1 | extend Time = now(), Text = strcat('row ', n), Half = n / 2.0, Kind = 'chat'`;
await browser.open(page, `/logs?q=${encodeURIComponent(query)}`);
await page.locator('.virtual-row').first().waitFor();
await measured(`Logs, ${ROWS} rows`);
await browser.stop();

/** Goes to the end of the list until it holds so many rows, or there are no more. */
async function holdRows(page, wanted) {
  const list = page.locator('.virtual');
  let held = 0;
  while (held < wanted) {
    await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    const isMore = await page
      .waitForFunction(
        (before) => Number(document.querySelector('.virtual').ariaRowCount) - 1 > before,
        held,
        { timeout: 10_000 },
      )
      .catch(() => null);
    if (!isMore) break;
    held = await list.evaluate((element) => Number(element.ariaRowCount) - 1);
  }
  await list.evaluate((element) => element.scrollTo(0, 0));
  return held;
}
