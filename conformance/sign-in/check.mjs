// People sign in to the portal in a browser, with a real OIDC provider. A line per check: `ok NAME` or
// `FAIL NAME: reason`.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { startProvider } from './provider.mjs';

const { GATEHOUSE, GATEHOUSE_CHROMIUM, SIGN_IN_FOLDER: folder } = process.env;
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const PASSWORD = 'correct horse battery staple';
const SCIM_TOKEN = 'provisioning-token-of-32-characters-or-more';
const config = join(folder, 'gatehouse.yaml');
let failures = 0;

async function check(name, work) {
  try {
    await work();
    console.log(`ok sign-in: ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL sign-in: ${name}: ${String(error.message).split('\n').slice(0, 8).join(' | ')}`);
  }
}

/** A port that stays free until it is used: below those that the kernel hands out by itself. */
function freePort() {
  return new Promise((resolve) => {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer().listen(port, '127.0.0.1', () => server.close(() => resolve(port)));
    server.on('error', () => resolve(freePort()));
  });
}

function gatehouse(...words) {
  const [input, args] = typeof words.at(-1) === 'object' ? [words.at(-1).input, words.slice(0, -1)] : ['', words];
  return execFileSync(GATEHOUSE, args, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });
}

const port = await freePort();
const [data, health] = [await freePort(), await freePort()];
const base = `http://127.0.0.1:${port}`;
const provider = await startProvider(`${base}/auth/callback`, `${base}/`);
gatehouse('init', '--config', config, '--listen', `127.0.0.1:${data}`, '--backend-url', 'http://127.0.0.1:9');
writeFileSync(join(folder, 'client-secret'), 'secret of the portal\n', { mode: 0o600 });
writeFileSync(join(folder, 'hash'), gatehouse('keys', 'password', { input: PASSWORD }), { mode: 0o600 });
writeFileSync(join(folder, 'scim'), SCIM_TOKEN, { mode: 0o600 });
appendFileSync(config, `
admin:
  listen: 127.0.0.1:${port}
  roles: [{ role: operator, groups: [g-operators] }]
health: { listen: "127.0.0.1:${health}" }
scim: { token: { file: scim } }
identity:
  egress: { allow: [127.0.0.0/8] }
  providers: [{ id: staff, issuer: "${provider.issuer}", audiences: [gatehouse] }]
sign_in:
  public_url: ${base}
  clients: [{ provider: staff, client_id: portal, client_secret: { file: client-secret } }]
  break_glass: { name: ops, password_hash: { file: hash }, lasting_s: 8 }
`);
const serving = spawn(GATEHOUSE, ['serve', '--config', config], {
  env: { ...process.env, AZURE_OPENAI_API_KEY: 'none' }, stdio: ['ignore', 'ignore', 'pipe'],
});
let said = '';
serving.stderr.on('data', (piece) => {
  said += piece;
});

async function until(what, ask) {
  for (let tries = 0; tries < 300; tries += 1) {
    const found = await ask();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} never came: ${said}`);
}

const query = (text) => JSON.parse(gatehouse('query', '--output', 'json', '--config', config, text));

/** The provider's own pages: who, and yes. */
async function throughProvider(page, name) {
  await page.locator('input[name=login]').fill(name);
  await page.locator('input[name=password]').fill('any');
  await page.locator('button[type=submit]').click();
  const consent = page.getByRole('button', { name: 'Continue' });
  const home = page.waitForURL(`${base}/**`).then(() => 'home');
  if ((await Promise.race([consent.waitFor().then(() => 'consent'), home])) === 'consent') await consent.click();
  await page.waitForURL(`${base}/**`);
}

const me = (page) => page.evaluate(async () => (await fetch('/admin/v1/me')).json());

const link = await until('the set-up link', async () => said.match(/http:\/\/\S+set_up=\S+/)?.[0]);
await until('the listener', () => fetch(`${base}/auth/session`).then((answer) => answer.ok, () => false));
const browser = await chromium.launch({ executablePath: GATEHOUSE_CHROMIUM, args: FLAGS });
const page = await (await browser.newContext()).newPage();
const other = async () => (await browser.newContext()).newPage();
try {
  await check('the set-up link makes the first who signs in with it administrator', async () => {
    await page.goto(link);
    await page.getByText('makes whoever signs in with it first administrator').waitFor();
    await page.getByRole('link', { name: 'Sign in with staff' }).click();
    await throughProvider(page, 'ann');
    await page.getByRole('navigation', { name: 'Screens' }).waitFor();
    assert.ok(!page.url().includes('set_up'), page.url());
    assert.deepEqual((await me(page)).roles, ['administrator']);
  });
  await check('the link works once', async () => {
    const second = await other();
    await second.goto(link);
    await second.getByRole('link', { name: 'Sign in with staff' }).click();
    await throughProvider(second, 'bob');
    assert.match(await second.content(), /used up/);
    await second.context().close();
  });
  await check('signing out ends the session here and at the provider', async () => {
    const [cookie] = (await page.context().cookies(base)).filter((it) => it.name === 'gatehouse-session');
    await page.getByRole('button', { name: /^Sign out/ }).click();
    await page.getByRole('button', { name: /yes, sign me out/i }).click();
    await page.getByRole('link', { name: 'Sign in with staff' }).waitFor();
    const stolen = await fetch(`${base}/admin/v1/me`, { headers: { cookie: `${cookie.name}=${cookie.value}` } });
    assert.equal(stolen.status, 401);
    await page.getByRole('link', { name: 'Sign in with staff' }).click();
    await page.locator('input[name=login]').waitFor();
  });
  await check('who holds no role is not let in', async () => {
    const second = await other();
    await second.goto(base);
    await second.getByRole('link', { name: 'Sign in with staff' }).click();
    await throughProvider(second, 'bob');
    assert.match(await second.content(), /holds no role here/);
    assert.equal((await second.context().cookies(base)).some((it) => it.name === 'gatehouse-session'), false);
    await second.context().close();
  });
  await check('a group brings its role, and SCIM ends the session of who is deactivated', async () => {
    const second = await other();
    await second.goto(base);
    await second.getByRole('link', { name: 'Sign in with staff' }).click();
    await throughProvider(second, 'carol');
    await second.getByRole('navigation', { name: 'Screens' }).waitFor();
    assert.deepEqual((await me(second)).roles, ['operator']);
    const scim = (method, path, body) => fetch(`${base}/scim/v2${path}`, {
      method, body: JSON.stringify(body),
      headers: { authorization: `Bearer ${SCIM_TOKEN}`, 'content-type': 'application/scim+json' },
    });
    const made = await scim('POST', '/Users', { userName: 'carol', externalId: `${provider.issuer}|carol` });
    assert.equal(made.status, 201);
    const { id } = await made.json();
    assert.deepEqual((await me(second)).roles, ['operator']);
    await scim('PATCH', `/Users/${id}`, { Operations: [{ op: 'Replace', path: 'active', value: 'False' }] });
    await second.getByRole('link', { name: 'Backends' }).click();
    await second.getByText('Your session has ended').waitFor();
    await second.getByRole('link', { name: 'Sign in with staff' }).click();
    await second.waitForURL(`${base}/auth/callback**`);
    assert.match(await second.content(), /deactivated/);
    await second.context().close();
  });
  await check('the local account signs in with its password, and its session is short', async () => {
    const second = await other();
    await second.goto(base);
    await second.getByLabel('Name').fill('ops');
    await second.getByLabel('Password').fill('wrong');
    await second.getByRole('button', { name: 'Sign in with the local account' }).click();
    await second.getByText("not the local account's name and password").waitFor();
    await second.getByLabel('Password').fill(PASSWORD);
    await second.getByRole('button', { name: 'Sign in with the local account' }).click();
    await second.getByRole('navigation', { name: 'Screens' }).waitFor();
    assert.deepEqual((await me(second)).roles, ['administrator', 'operator']);
    await second.waitForTimeout(8500);
    await second.getByRole('link', { name: 'Backends' }).click();
    await second.getByText('Your session has ended').waitFor();
    await second.context().close();
  });
  await check('all of it is on record', async () => {
    const wanted = ['set_up/', 'sign_in/', 'sign_out/', 'sign_in_failed/set_up_invalid', 'sign_in_failed/no_role',
      'sign_out/UserDeactivated', 'sign_in_failed/UserDeactivated', 'sign_in_failed/wrong_password'];
    const events = "SecurityEvents | distinct Kind, Reason | project What = strcat(Kind, '/', Reason)";
    await until('every event', async () => {
      const found = query(events).map((row) => row.What);
      return wanted.every((what) => found.includes(what));
    });
    const actions = query('AdminActions | distinct OperationName').map((row) => row.OperationName);
    for (const action of ['set_up/complete', 'break_glass/sign_in', 'users/create', 'users/update'])
      assert.ok(actions.includes(action), `${action} is not among ${actions}`);
    assert.ok(!said.includes(PASSWORD) && !said.includes(SCIM_TOKEN));
  });
} finally {
  await browser.close();
  serving.kill();
  provider.stop();
}
process.exit(failures > 0 ? 1 : 0);
