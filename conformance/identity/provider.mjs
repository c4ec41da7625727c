// A real OIDC provider on loopback: access tokens as JWT for one resource, by client credentials.
// Prints its issuer once it listens. POST /rotate makes it sign with a new key; the old one stays listed,
// as providers do while tokens signed by it are about.

import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const AUDIENCE = 'https://gatehouse.example';
let issuer;
const keys = [];

function provider() {
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  keys.unshift({ ...key, kid: `key-${keys.length + 1}-${process.pid}`, use: 'sig', alg: 'RS256' });
  const client = (id) => ({
    client_id: id, client_secret: `secret of ${id}`, grant_types: ['client_credentials'],
    redirect_uris: [], response_types: [],
  });
  return new Provider(issuer, {
    jwks: { keys: [...keys] },
    clients: [client('granted-app'), client('other-app')],
    clientAuthMethods: ['client_secret_post', 'client_secret_basic'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'models', audience: resource, accessTokenTTL: 600, accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
}

let current;
const server = createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    current = provider().callback();
    response.end(keys[0].kid);
    return;
  }
  current(request, response);
});
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  current = provider().callback();
  console.log(issuer);
});
