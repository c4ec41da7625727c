// Measures how soon the first rows of Requests are there, and how long frames take while 10,000 rows
// scroll by, and prints it. Not a check: machines differ. PORTAL_RANGE is a part of the address, `last=30d`
// or `from=…&to=…`.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Browser } from './browser.mjs';

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
const query = `range n from 1 to ${ROWS} step 1 | extend Time = now(), Text = strcat('row ', n), Half = n / 2.0, Kind = 'chat'`;
await browser.open(page, `/logs?q=${encodeURIComponent(query)}`);
await page.locator('.virtual-row').first().waitFor();
const frames = await page.evaluate(async () => {
  const list = document.querySelector('.virtual');
  const taken = [];
  const end = list.scrollHeight - list.clientHeight;
  let before = performance.now();
  for (let top = 0; top < end; top += end / 300) {
    list.scrollTop = top;
    const now = await new Promise((resolve) =>
      requestAnimationFrame(() => requestAnimationFrame(resolve)),
    );
    taken.push((now - before) / 2);
    before = now;
  }
  return taken;
});
frames.sort((left, right) => left - right);
const at = (share) => frames[Math.floor(share * (frames.length - 1))].toFixed(1);
console.log(
  `${ROWS} rows, ${frames.length} steps: median ${at(0.5)} ms, 95 % ${at(0.95)} ms, longest ${at(1)} ms a frame`,
);
await browser.stop();
