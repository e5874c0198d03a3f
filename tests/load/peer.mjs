// npm's oidc-provider as a peer: storage in memory, JWT access tokens (ES256) for one resource and opaque ones for another.
//
// PORT and PACKAGES (the folder that holds node_modules) come from the environment. Its own in-memory adapter is not used: it keeps
// at most a thousand things, and walks over a whole family of tokens at every rotation. A sign-in is approved at once, without a page.
import http from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';

const { PORT, PACKAGES, CLIENT_ID, REDIRECT_URI, RESOURCE, RESOURCE_SECRET, SCOPE } = process.env;
const { Provider } = createRequire(path.join(PACKAGES, 'package.json'))('oidc-provider');
const issuer = `http://127.0.0.1:${PORT}`;

class InMemory {
  static byUid = new Map();

  constructor() {
    this.things = new Map();
  }

  async upsert(id, payload) {
    this.things.set(id, payload);
    if (payload.kind === 'Session') InMemory.byUid.set(payload.uid, payload);
  }

  async find(id) {
    return this.things.get(id);
  }

  async findByUid(uid) {
    return InMemory.byUid.get(uid);
  }

  async consume(id) {
    this.things.get(id).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.things.delete(id);
  }

  async revokeByGrantId() {
    throw new Error('nothing in the benchmark revokes');
  }
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const provider = new Provider(issuer, {
  adapter: InMemory,
  clients: [
    {
      client_id: CLIENT_ID,
      redirect_uris: [REDIRECT_URI],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      id_token_signed_response_alg: 'ES256',
    },
    {
      client_id: 'notes',
      client_secret: RESOURCE_SECRET,
      redirect_uris: [],
      grant_types: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_basic',
      id_token_signed_response_alg: 'ES256',
    },
  ],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' }] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: () => true,
  expiresWithSession: () => false,
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    registration: { enabled: true, issueRegistrationAccessToken: false },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: SCOPE,
        audience: resource,
        accessTokenTTL: 900,
        accessTokenFormat: resource === RESOURCE ? 'jwt' : 'opaque',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  cookies: { keys: ['a key for the cookies of a benchmark'] },
  ttl: { AccessToken: 900, AuthorizationCode: 60, Grant: 86400, IdToken: 300, Interaction: 600, RefreshToken: 86400, Session: 86400 },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  interactions: { url: (_ctx, { uid }) => `/approve/${uid}` },
});

async function approve(request, response) {
  const { params } = await provider.interactionDetails(request, response);
  const accountId = 'somebody';
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addResourceScope(params.resource, params.scope);
  const result = { login: { accountId }, consent: { grantId: await grant.save() } };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const oidc = provider.callback();
http
  .createServer({ keepAliveTimeout: 600_000, requestTimeout: 0 }, (request, response) => {
    if (!request.url.startsWith('/approve/')) return oidc(request, response);
    return approve(request, response).catch((error) => {
      response.writeHead(500);
      response.end(error.stack);
    });
  })
  .listen(Number(PORT), '127.0.0.1', () => console.log(JSON.stringify({ ready: issuer })));
