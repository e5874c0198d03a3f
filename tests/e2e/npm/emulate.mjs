// Google, GitHub and Entra in their shapes: npm's emulate, each service on a loopback port of its own.
//
// The one argument names a JSON file: `packages` (the folder that holds node_modules), `services` (name -> port, inner, baseUrl, seed,
// revocation), `control` (a port) and `front` (port, certificate, key, host, service). Standard output gets one JSON line once all of it
// listens. A service itself is on its `inner` port; what passes `port` is watched for refresh tokens, since nobody can be looked up there.
//
// The front is a proxy that leads https://HOST to one of the services: Google's own address with a certificate of the test, since the
// broker's type for Google knows one issuer only. On the control port POST /forget/SERVICE starts a service anew, so that every token
// that it gave is dead from then on; POST /revoke/SERVICE/EMAIL hands one person's to the service's own `revocation` endpoint.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const { packages, services, control, front } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { createEmulator } = await import(pathToFileURL(path.join(packages, 'node_modules/emulate/dist/api.js')));

const running = new Map();
async function start(service) {
  const { inner, baseUrl, seed } = services[service];
  running.set(service, await createEmulator({ service, port: inner, baseUrl, hostname: '127.0.0.1', seed: { [service]: seed } }));
}

const given = []; // { service, email, token }
function watch(service, body) {
  const { refresh_token: token, id_token: about } = JSON.parse(body);
  if (token && about) given.push({ service, token, email: JSON.parse(Buffer.from(about.split('.')[1], 'base64url')).email });
}
const passing = (service) => (request, response) => {
  const { method, url, headers } = request;
  const onward = http.request({ host: '127.0.0.1', port: services[service].inner, method, path: url, headers }, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part));
    answer.on('end', () => {
      if (method === 'POST' && url.endsWith('/token')) watch(service, Buffer.concat(parts));
    });
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  request.pipe(onward);
};
async function revoke(service, email) {
  const url = `http://127.0.0.1:${services[service].inner}${services[service].revocation}`;
  const theirs = given.filter((each) => each.service === service && each.email === email);
  for (const { token } of theirs) await fetch(url, { method: 'POST', body: new URLSearchParams({ token }) });
  return theirs.length;
}

const listening = (server, port) => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
await Promise.all(Object.keys(services).map(start));

await Promise.all(Object.keys(services).map((service) => listening(http.createServer(passing(service)), services[service].port)));

const site = { cert: readFileSync(front.certificate), key: readFileSync(front.key) };
const behind = https.createServer(site, passing(front.service));
const proxy = http.createServer((_request, response) => response.writeHead(405).end());
proxy.on('connect', (request, socket, head) => {
  socket.on('error', () => socket.destroy());
  if (request.url !== `${front.host}:443`) return socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
  socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
  if (head.length) socket.unshift(head);
  return behind.emit('connection', socket);
});
await listening(proxy, front.port);

await listening(
  http.createServer(async (request, response) => {
    const [, what, service, person] = request.url.split('/');
    if (request.method !== 'POST' || !running.has(service)) return response.writeHead(404).end();
    if (what === 'revoke') return response.writeHead((await revoke(service, decodeURIComponent(person))) ? 204 : 404).end();
    await running.get(service).close();
    await start(service);
    return response.writeHead(204).end();
  }),
  control,
);
console.log(JSON.stringify({ ready: true }));
