// Every screen, light and dark, wide and narrow: no error, nothing inaccessible, text that is drawn.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { reveal } from './browser.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

const CHART =
  'Interactions | summarize Calls = count() by bin(TimeGenerated, 1m), DeploymentName | render timechart';
const NO_ROWS = 'Interactions | where Kind == "nothing"';

async function screens(ask) {
  const [[chat]] = await ask(
    "Interactions | where Kind == 'chat' and IsStreamCompletion | take 1 | project CorrelationId",
  );
  const [[refused]] = await ask(
    "Interactions | where Outcome == 'refused' | take 1 | project CorrelationId",
  );
  const older = '01900000-0000-7000-8000-000000000000';
  return [
    ['overview', '/'],
    ['requests', '/requests'],
    ['requests-empty', '/requests?kind=nothing'],
    ['detail', `/requests/${chat}`],
    ['detail-request', `/requests/${chat}?tab=request`],
    ['detail-timeline', `/requests/${chat}?tab=timeline`],
    ['detail-route', `/requests/${chat}?tab=route`],
    ['detail-integrity', `/requests/${chat}?tab=integrity`],
    ['detail-compare', `/requests/${chat}?tab=compare&with=${refused}`],
    ['detail-facts', `/requests/${chat}?tab=facts`],
    ['detail-refused', `/requests/${refused}?tab=route`],
    ['detail-expired', `/requests/${older}`],
    ['logs', `/logs?q=${encodeURIComponent(CHART)}`],
    ['logs-rows', `/logs?q=${encodeURIComponent('Interactions | take 20')}`],
    ['logs-simple', '/logs?mode=simple'],
    ['logs-empty', `/logs?q=${encodeURIComponent(NO_ROWS)}`],
    ['live', '/live'],
    ['dashboards', '/dashboards'],
    ['alerts', '/alerts'],
    ['cost', '/cost'],
    ['backends', '/backends'],
    ['access', '/access'],
    ['access-products', '/access?tab=products'],
    ['access-content', '/access?tab=content'],
    ['audit', '/audit'],
    ['audit-reads', '/audit?tab=reads'],
    ['clients', '/clients'],
    ['clients-setup', '/clients?tab=setup'],
    ['settings', '/settings?set=set'],
    ['settings-versions', '/settings?tab=versions&version=1'],
    ['settings-certificates', '/settings?tab=certificates'],
  ];
}

export async function checkScreens(browser, { check, ask }) {
  const found = await screens(ask);
  for (const width of [1280, 390]) {
    for (const theme of ['light', 'dark']) {
      const page = await browser.page({ theme, width, height: width === 390 ? 844 : 800 });
      for (const [name, path] of found) {
        await check(`${name}, ${theme}, ${width}`, () =>
          one(browser, page, path, `${name}-${theme}-${width}`),
        );
      }
      await page.context().close();
    }
  }
  const page = await browser.page({ theme: 'contrast' });
  for (const [name, path] of found.slice(0, 4)) {
    await check(`${name}, high contrast`, () => one(browser, page, path, `${name}-contrast`));
  }
  await page.context().close();
}

async function one(browser, page, path, name) {
  page.bad = [];
  await browser.open(page, path);
  await reveal(page);
  await browser.screenshot(page, name);
  assert.deepEqual(page.bad, []);
  const { overflow, isDrawn } = await page.evaluate(look);
  assert.ok(overflow <= 1, `the page is ${overflow} px wider than the window`);
  assert.ok(isDrawn, 'no font draws letters');
  // What is shown at first stands side by side, whatever the window: nothing is to be looked for.
  if (path === '/requests') assert.deepEqual(await page.evaluate(cutOff), []);
  assert.deepEqual(await violations(page), []);
}

/** Letters of different shapes have different widths, unless each is drawn as the same box. */
function look() {
  const context = document.createElement('canvas').getContext('2d');
  context.font = getComputedStyle(document.body).font;
  const isDrawn = context.measureText('iiii').width < context.measureText('WWWW').width;
  const root = document.documentElement;
  return { overflow: root.scrollWidth - root.clientWidth, isDrawn };
}

/** The headings of the list that are not wholly in view. */
function cutOff() {
  const list = document.querySelector('.virtual');
  const edge = list.getBoundingClientRect().left + list.clientLeft + list.clientWidth;
  const isCut = (heading) =>
    heading.scrollWidth > heading.clientWidth || heading.getBoundingClientRect().right > edge + 1;
  const headings = [...list.querySelectorAll('[role=columnheader]')];
  return headings.filter(isCut).map((heading) => heading.textContent);
}

/** axe runs in a world of its own, so that the page's policy need not let it in. */
async function violations(page) {
  const client = await page.context().newCDPSession(page);
  const { frameTree } = await client.send('Page.getFrameTree');
  const { executionContextId } = await client.send('Page.createIsolatedWorld', {
    frameId: frameTree.frame.id,
    worldName: 'axe',
  });
  const run = `${AXE}; axe.run({ runOnly: ${JSON.stringify(TAGS)}, resultTypes: ['violations'] })
    .then(({ violations }) => violations.map(({ id, nodes }) =>
      id + ': ' + nodes.slice(0, 3).map(({ html, failureSummary }) => html.slice(0, 160) + ' ' + failureSummary.slice(0, 200)).join(' ')))`;
  const { result, exceptionDetails } = await client.send('Runtime.evaluate', {
    expression: run,
    contextId: executionContextId,
    awaitPromise: true,
    returnByValue: true,
  });
  await client.detach();
  if (exceptionDetails) throw new Error(`axe: ${exceptionDetails.exception?.description}`);
  return result.value;
}
