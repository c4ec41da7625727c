// Runs the portal in a browser against a demo. A line per check: `ok NAME` or `FAIL NAME: reason`.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Browser } from './browser.mjs';
import { checkAccess } from './check-access.mjs';
import { checkAlerts } from './check-alerts.mjs';
import { checkDashboards } from './check-dashboards.mjs';
import { checkDetail } from './check-detail.mjs';
import { checkFrames } from './check-frames.mjs';
import { checkHostile } from './check-hostile.mjs';
import { checkKeyboard } from './check-keyboard.mjs';
import { checkLive } from './check-live.mjs';
import { checkLogs } from './check-logs.mjs';
import { checkPolicy } from './check-policy.mjs';
import { checkScreens } from './check-screens.mjs';
import { checkSettings } from './check-settings.mjs';
import { Caller, everything } from './traffic.mjs';

const { GATEHOUSE_ENDPOINT, GATEHOUSE_KEY, GATEHOUSE_CONFIG, PORTAL_ARTEFACTS } = process.env;

function adminListener() {
  const config = readFileSync(GATEHOUSE_CONFIG, 'utf8');
  const address = /^admin:\n\s+listen: (\S+)$/m.exec(config)?.[1];
  const token = readFileSync(join(dirname(GATEHOUSE_CONFIG), 'admin-token'), 'utf8').trim();
  return { base: `http://${process.env.PORTAL_ADDRESS ?? address}`, token };
}

const tally = { passed: 0, failed: 0 };

/** Runs one check; what it throws is its failure. */
async function check(name, work) {
  try {
    await work();
    tally.passed += 1;
    console.log(`ok ${name}`);
  } catch (error) {
    tally.failed += 1;
    console.log(`FAIL ${name}: ${String(error.message).split('\n').slice(0, 12).join(' | ')}`);
  }
}

/** Waits until the tables hold what was just recorded. */
async function visible(admin, csl, isThere) {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const rows = await ask(admin, csl);
    if (isThere(rows)) return rows;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`the tables never showed it: ${csl}`);
}

/** Waits until the tables hold these changes, in this order, made for that reason. */
const recorded = (admin, reason, operations) =>
  visible(
    admin,
    `AdminActions | where Message == "${reason}" | sort by TimeGenerated asc | project OperationName`,
    (rows) => rows.flat().join() === operations.join(),
  );

async function ask({ base, token }, csl) {
  const response = await fetch(`${base}/v1/rest/query`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'x-gatehouse-purpose': 'tests of the portal',
    },
    body: JSON.stringify({ db: 'gatehouse', csl }),
  });
  if (!response.ok) throw new Error(`${response.status} for ${csl}: ${await response.text()}`);
  return (await response.json()).Tables[0].Rows;
}

const admin = adminListener();
const caller = new Caller(GATEHOUSE_ENDPOINT, GATEHOUSE_KEY);
const made = await everything(caller);
const tools = {
  admin,
  caller,
  check,
  ask: (csl) => ask(admin, csl),
  visible: (...rest) => visible(admin, ...rest),
  recorded: (...rest) => recorded(admin, ...rest),
};
await tools.visible('Interactions | count', ([[count]]) => count >= made);
const browser = await Browser.start({ ...admin, artefacts: PORTAL_ARTEFACTS });
try {
  const only = process.argv[2];
  const parts = {
    policy: checkPolicy,
    screens: checkScreens,
    keyboard: checkKeyboard,
    access: checkAccess,
    settings: checkSettings,
    live: checkLive,
    logs: checkLogs,
    detail: checkDetail,
    dashboards: checkDashboards,
    alerts: checkAlerts,
    frames: checkFrames,
    hostile: checkHostile,
  };
  for (const [name, part] of Object.entries(parts)) {
    if (!only || only === name) await part(browser, tools);
  }
} finally {
  await browser.stop();
}
console.log(`${tally.passed} passed, ${tally.failed} failed`);
process.exitCode = tally.failed > 0 ? 1 : 0;
