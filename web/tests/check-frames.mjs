// The budget of scrolling: 10,000 rows at no more than 50 ms a frame.
import assert from 'node:assert/strict';
import { scroll } from './frames.mjs';

const ROWS = 10_000;
const FRAME_MILLIS_MAX = 50;
const query = `range n from 1 to ${ROWS} step 1
| extend Time = now(), Text = strcat('row ', n), Half = n / 2.0, Kind = 'chat'`;

export async function checkFrames(browser, { check }) {
  const page = await browser.page();
  await check(`frames: ${ROWS} rows scroll within ${FRAME_MILLIS_MAX} ms a frame`, async () => {
    await browser.open(page, `/logs?q=${encodeURIComponent(query)}`);
    await page.locator('.virtual-row').first().waitFor();
    const { busy } = await scroll(page);
    assert.ok(busy.length >= 300, `${busy.length} steps were seen`);
    assert.ok(busy.at(0) > 0.1, 'each step draws something');
    // By processor time, of two frames: how long other programs keep the page waiting says nothing of it.
    const longest = busy.at(-1);
    assert.ok(longest <= FRAME_MILLIS_MAX, `the longest step took ${longest.toFixed(1)} ms`);
    const last = page.locator('.virtual-row').last();
    assert.equal(await last.getAttribute('aria-rowindex'), String(ROWS + 1));
    assert.deepEqual(page.bad, []);
  });
  await page.context().close();
}
