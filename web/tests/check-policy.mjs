// What the page is served with.
import assert from 'node:assert/strict';

export async function checkPolicy(browser, { check, admin }) {
  await check('the page forbids inline scripts, other places and framing', async () => {
    const [first, second] = await Promise.all([
      fetch(`${admin.base}/`),
      fetch(`${admin.base}/logs`),
    ]);
    const policy = first.headers.get('content-security-policy');
    for (const part of [
      "default-src 'none'",
      "script-src 'nonce-",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "require-trusted-types-for 'script'",
    ]) {
      assert.ok(policy.includes(part), `${part} is not in ${policy}`);
    }
    assert.ok(!policy.includes('unsafe'), policy);
    assert.notEqual(policy, second.headers.get('content-security-policy'), 'a nonce came twice');
    assert.equal(first.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(first.headers.get('cache-control'), 'no-store');
  });

  await check('an injected script or handler does not run', async () => {
    const page = await browser.page();
    await browser.open(page, '/');
    assert.deepEqual(page.bad, []);
    const ran = await page.evaluate(() => {
      const attempts = [
        () => {
          document.body.innerHTML = '<img src=x onerror="window.ran = true">';
        },
        () => {
          const script = document.createElement('script');
          script.text = 'window.ran = true';
          document.body.append(script);
        },
      ];
      for (const attempt of attempts) {
        try {
          attempt();
        } catch {
          // Forbidden, as it should be.
        }
      }
      return window.ran === true;
    });
    assert.equal(ran, false);
    await page.context().close();
  });

  await check('an address without a screen says so, and what there is', async () => {
    const page = await browser.page();
    await browser.open(page, '/overvieuw');
    await page.getByText('There is no screen at /overvieuw.').waitFor();
    await page.getByRole('main').getByRole('link', { name: 'Overview' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await page.context().close();
    const lost = await fetch(`${admin.base}/admin/v1/backend`);
    assert.equal(lost.status, 404);
    assert.match((await lost.json()).detail, /nothing at \/admin\/v1\/backend: GET /);
  });

  await check('without a token there is a form and no answer', async () => {
    const page = await browser.page({ isSignedIn: false });
    await browser.open(page, '/requests');
    assert.equal(await page.getByLabel('Token', { exact: true }).count(), 1);
    await page.getByLabel('Token', { exact: true }).fill('not the token');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').waitFor();
    assert.match(await page.getByRole('alert').textContent(), /opens nothing/);
    await browser.screenshot(page, 'sign-in');
    await page.context().close();
  });
}
