// A real OIDC provider on loopback where people sign in by any password. Ann has no group, Bob neither,
// Carol is an operator. Prints its issuer once it listens; `redirect` is where it sends people back to.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const GROUPS = { carol: ['g-operators'] };

export async function startProvider(redirect, home) {
  const server = createServer((request, response) => callback(request, response));
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'portal',
        client_secret: 'secret of the portal',
        grant_types: ['authorization_code'],
        response_types: ['code'],
        redirect_uris: [redirect],
        post_logout_redirect_uris: [home],
        token_endpoint_auth_method: 'client_secret_post',
      },
    ],
    pkce: { required: () => true },
    claims: { openid: ['sub'], profile: ['name', 'groups'] },
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `${id} of the test`, groups: GROUPS[id] ?? [] }),
    }),
    features: { devInteractions: { enabled: true } },
  });
  const callback = provider.callback();
  return { issuer, stop: () => server.close() };
}
