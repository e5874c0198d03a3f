// An identity provider for the end-to-end tests: npm's certified oidc-provider with two people and one client.
//
// PORT and CLIENT_SECRET come from the environment, PACKAGES names the folder that holds node_modules. Standard output gets one
// JSON line once it listens, and one for each request, so that a test can tell which endpoints were (not) called.
//
// More clients register themselves (POST /reg, the secret is the initial access token). PUT /people/NAME hires somebody, or lets
// somebody go, who is then an account that is not found: {"enabled": true or false}.
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

const { PORT, CLIENT_SECRET, PACKAGES } = process.env;
const { Provider } = createRequire(path.join(PACKAGES, 'package.json'))('oidc-provider');
const issuer = `http://localhost:${PORT}`;

const newcomer = (person) => ({ ...person, password: `${person.login}-password`, enabled: true });
const named = (name) => [...people.values()].find(({ login }) => login === name);
const people = new Map(
  [
    { sub: '248289761001', login: 'alice', name: 'Alice Archer', email: 'alice@example.com', email_verified: true, groups: ['eng', 'admins'] },
    { sub: '248289761002', login: 'bob', name: 'Bob Baker', email: 'bob@example.com', email_verified: false, groups: ['sales'] },
  ].map((person) => [person.sub, newcomer(person)]),
);
const claimsOf = ({ password, login, enabled, ...claims }) => ({ ...claims, preferred_username: login });

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'broker',
      client_secret: CLIENT_SECRET,
      application_type: 'native', // its loopback redirect URI may come with any port
      redirect_uris: ['http://127.0.0.1/callback/oidc', 'http://127.0.0.1/oauth/callback/oidc'],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  claims: { openid: ['sub', 'sid'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'], groups: ['groups'], auth_time: null },
  scopes: ['openid', 'profile', 'email', 'groups', 'offline_access'],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: (_ctx, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  features: {
    backchannelLogout: { enabled: true },
    devInteractions: { enabled: false },
    registration: { enabled: true, initialAccessToken: CLIENT_SECRET },
    revocation: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        ctx.body = `<!doctype html><title>Sign out</title>${form}<button form="op.logoutForm" name="logout" value="yes">Sign out</button>`;
      },
    },
  },
  fetch: (url, { dispatcher, ...options }) => fetch(url, options), // its own dispatcher refuses loopback, where the broker is
  cookies: { keys: ['a key for the cookies of a test'] },
  ttl: { AccessToken: 300, AuthorizationCode: 60, Grant: 3600, IdToken: 300, Interaction: 600, RefreshToken: 3600, Session: 3600 },
  findAccount: (_ctx, sub) => (people.get(sub)?.enabled ? { accountId: sub, claims: () => claimsOf(people.get(sub)) } : undefined),
  interactions: { url: (_ctx, { uid }) => `/sign-in/${uid}` },
});

const page = (uid, hint, complaint) => `<!doctype html><title>Sign in</title><h1>Sign in to the test company</h1><p>${complaint}</p>
<form method="post" action="/sign-in/${uid}"><label>Name <input name="login" value="${hint.replace(/[^a-z0-9-]/g, '')}"></label>
<label>Password <input name="password" type="password"></label>
<button name="do" value="sign-in">Sign in</button> <button name="do" value="refuse">Refuse</button></form>`;

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function employ(request, response, login) {
  const { enabled } = JSON.parse(await body(request));
  const sub = named(login)?.sub ?? String(248289761001 + people.size);
  people.set(sub, { ...newcomer({ sub, login, name: login, email: `${login}@example.com`, email_verified: true, groups: ['eng'] }), enabled });
  response.writeHead(204).end();
}

async function signIn(request, response) {
  const { uid, params } = await provider.interactionDetails(request, response);
  const finish = (result) => provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  const show = (status, complaint) => {
    response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' });
    response.end(page(uid, params.login_hint ?? '', complaint));
  };
  if (request.method !== 'POST') return show(200, '');
  const form = new URLSearchParams(await body(request));
  if (form.get('do') === 'refuse') return finish({ error: 'access_denied', error_description: 'the person <b>refused</b> to sign in' });
  const person = named(form.get('login'));
  if (!person?.enabled || person.password !== form.get('password')) return show(401, 'Wrong name or password.');
  const grant = new provider.Grant({ accountId: person.sub, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  return finish({ login: { accountId: person.sub, amr: ['pwd'] }, consent: { grantId: await grant.save() } });
}

const oidc = provider.callback();
http
  .createServer((request, response) => {
    const { pathname } = new URL(request.url, issuer);
    console.log(JSON.stringify({ method: request.method, path: pathname }));
    if (request.method === 'PUT' && pathname.startsWith('/people/')) return employ(request, response, pathname.slice('/people/'.length));
    if (!pathname.startsWith('/sign-in/')) return oidc(request, response);
    return signIn(request, response).catch((error) => {
      response.writeHead(error.statusCode ?? 500);
      response.end(`${error.name}: ${error.error_description ?? error.message}`);
    });
  })
  .listen(Number(PORT), '127.0.0.1', () => console.log(JSON.stringify({ ready: issuer })));
