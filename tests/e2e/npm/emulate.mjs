// Google, GitHub and Entra in their shapes: npm's emulate, each service on a loopback port of its own.
//
// The one argument names a JSON file: `packages` (the folder that holds node_modules), `services` (name -> port, baseUrl, seed),
// `control` (a port) and `front` (port, certificate, key, host, service). Standard output gets one JSON line once all of it listens.
//
// The front is a proxy that leads https://HOST to one of the services: Google's own address with a certificate of the test, since the
// broker's type for Google knows one issuer only. POST /forget/SERVICE on the control port starts a service anew on its port: every
// token that it gave is dead from then on, which is all that emulate can be made to do to a person.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const { packages, services, control, front } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { createEmulator } = await import(pathToFileURL(path.join(packages, 'node_modules/emulate/dist/api.js')));

const running = new Map();
async function start(service) {
  const { port, baseUrl, seed } = services[service];
  running.set(service, await createEmulator({ service, port, baseUrl, hostname: '127.0.0.1', seed: { [service]: seed } }));
}

const listening = (server, port) => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
await Promise.all(Object.keys(services).map(start));

const behind = https.createServer({ cert: readFileSync(front.certificate), key: readFileSync(front.key) }, (request, response) => {
  const { method, url, headers } = request;
  const onward = http.request({ host: '127.0.0.1', port: services[front.service].port, method, path: url, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  request.pipe(onward);
});
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
    const service = /^\/forget\/([a-z]+)$/.exec(request.url)?.[1];
    if (request.method !== 'POST' || !running.has(service)) return response.writeHead(404).end();
    await running.get(service).close();
    await start(service);
    return response.writeHead(204).end();
  }),
  control,
);
console.log(JSON.stringify({ ready: true }));
