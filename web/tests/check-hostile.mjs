// A corpus of hostile prompts, sent as callers would, then looked at everywhere.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { reveal, settled } from './browser.mjs';
import { HOSTILE } from './hostile.mjs';

const PARTS = 20;

/** Only what HTTP can carry in a header. */
const headerSafe = (text) => text.replace(/[^\x20-\x7e]/g, '').slice(0, 200);

async function send(caller) {
  for (let at = 0; at < HOSTILE.length; at += PARTS) {
    const messages = HOSTILE.slice(at, at + PARTS).map((content) => ({ role: 'user', content }));
    const [first] = messages;
    await caller.call(
      '/openai/deployments/gpt-4o/chat/completions',
      { messages, user: first.content.slice(0, 64), metadata: { hostile: 'yes' } },
      { agent: `hostile ${headerSafe(first.content)}` },
    );
  }
  for (const text of HOSTILE.slice(0, 40)) {
    await caller.call(`/openai/deployments/${encodeURIComponent(text)}/chat/completions`, {
      messages: [],
    });
  }
}

export async function checkHostile(browser, { ask, caller, check, visible }) {
  await send(caller);
  const wanted = Math.ceil(HOSTILE.length / PARTS);
  const rows = await visible(
    "Interactions | where UserAgent startswith 'hostile' | project CorrelationId",
    (found) => found.length >= wanted,
  );
  const page = await browser.page();
  const clean = async () => {
    assert.deepEqual(page.bad, []);
    assert.equal(await page.evaluate(foreign), 0, 'markup of a prompt became elements');
  };

  await check(`hostile: ${HOSTILE.length} prompts are on record as they were sent`, async () => {
    const said = await ask(
      "Messages | where Direction == 'prompt' | summarize Contents = make_set(Content, 5000)",
    );
    const contents = new Set(said[0][0]);
    const missing = HOSTILE.filter((text) => !contents.has(text));
    assert.deepEqual(
      missing.map((text) => text.slice(0, 40)),
      [],
    );
  });
  await check('hostile: lists show text and run nothing', async () => {
    for (const path of ['/', '/requests', '/clients', '/cost?by=DeploymentName', '/dashboards']) {
      await browser.open(page, path);
      await clean();
    }
    await browser.screenshot(page, 'hostile-lists');
  });
  await check('hostile: every conversation shows its parts whole and runs nothing', async () => {
    let shown = 0;
    for (const [id] of rows) {
      await browser.open(page, `/requests/${id}`);
      await reveal(page);
      await page.locator('.part').first().waitFor();
      await settled(page);
      shown += await page.locator('.part-prompt').count();
      await clean();
      await browser.open(page, `/requests/${id}?tab=request`);
      await reveal(page);
      await settled(page);
      await clean();
    }
    assert.equal(shown, HOSTILE.length);
    await browser.screenshot(page, 'hostile-detail');
  });
  await check('hostile: what turns or hides is written out', async () => {
    const found = await ask(
      "Messages | where Content has 'gnp.exe' | take 1 | project CorrelationId",
    );
    await browser.open(page, `/requests/${found[0][0]}`);
    await reveal(page);
    await page.locator('.part mark').first().waitFor();
    const text = await page.locator('.conversation').textContent();
    assert.ok(text.includes('‹U+202E›gnp.exe'));
    assert.ok(![...text].some((one) => '\u202e\u2066\u001b'.includes(one)), 'something hides');
  });
  await check('hostile: results of queries show text and run nothing', async () => {
    for (const query of [
      "Messages | where Direction == 'prompt' | project Content",
      'Messages | summarize Calls = count() by Content | render barchart',
      "Messages | extend ['<img src=x onerror=window.pwned()>'] = 1 | take 3",
    ]) {
      await browser.open(page, `/logs?q=${encodeURIComponent(query)}`);
      await reveal(page);
      await clean();
    }
  });
  await check('hostile: exports hold no formula', async () => {
    const query = "Messages | where Direction == 'prompt' | project Content";
    await browser.open(page, `/logs?q=${encodeURIComponent(query)}`);
    await reveal(page);
    for (const kind of ['CSV', 'NDJSON', 'Parquet', 'Arrow']) {
      const coming = page.waitForEvent('download');
      await page.getByText('Export', { exact: true }).click();
      await page.getByRole('button', { name: kind, exact: true }).click();
      const bytes = readFileSync(await (await coming).path());
      const file = bytes.toString('utf8');
      if (kind === 'Parquet') assert.equal(bytes.subarray(0, 4).toString(), 'PAR1');
      else if (kind === 'Arrow') assert.equal(bytes.subarray(0, 6).toString(), 'ARROW1');
      else if (kind === 'CSV') {
        const formulas = fields(file).filter((text) => /^[=+\-@\t\r]/.test(text));
        assert.deepEqual(formulas, []);
      } else {
        const contents = new Set(
          file
            .trim()
            .split('\n')
            .map((text) => JSON.parse(text).Content),
        );
        assert.ok(
          HOSTILE.every((text) => contents.has(text)),
          'a prompt is not in the file',
        );
      }
    }
    await clean();
  });
  await page.context().close();
}

/** The fields of CSV (RFC 4180). */
function fields(csv) {
  const found = csv.matchAll(/"((?:[^"]|"")*)"|([^,\r\n]+)/g);
  return [...found].map(([, quoted, plain]) => (quoted ?? plain).replaceAll('""', '"'));
}

/** Elements that only a prompt could have made. */
function foreign() {
  const made =
    'main :is(script, iframe, object, embed, form[action], base, link, meta, style, svg[onload])';
  const images = [...document.querySelectorAll('main img')].filter(
    (image) => !image.src.startsWith('blob:'),
  );
  return document.querySelectorAll(made).length + images.length;
}
