// @parse/node-apn: node client.js PORT CAFILE PUSHES [connections]; prints CPU seconds and wall seconds.
//
// A Provider keeps one connection; more of them are a MultiProvider's, which hands them the pushes in turn. The library
// signs its provider token itself, with a key made here, once for the whole run.
'use strict';

const crypto = require('node:crypto');
const apn = require('@parse/node-apn');

const IN_FLIGHT = 900; // for each connection
const WARM_UP = 5000;

function providerOf(port, ca, connections) {
  const { privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const options = {
    token: { key, keyId: 'ABC123DEFG', teamId: 'DEF123GHIJ' },
    address: '127.0.0.1',
    port,
    ca: [ca],
    requestTimeout: 60000,
  };
  return connections === 1
    ? new apn.Provider(options)
    : new apn.MultiProvider({ ...options, clientCount: connections });
}

async function push(provider, number) {
  const note = new apn.Notification({
    id: `27cfdc15-e305-27e0-e290-${number.toString(16).padStart(12, '0')}`,
    topic: 'com.example.app',
    pushType: 'alert',
    priority: 10,
    alert: {
      title: 'On its way',
      body: `Your order ${number} has left our warehouse and will be with you tomorrow.`,
    },
    badge: number % 100,
    payload: { order: number },
  });
  const { sent, failed } = await provider.send(note, number.toString(16).padStart(64, '0'));
  if (sent.length !== 1) throw new Error(`push failed: ${JSON.stringify(failed)} ${failed[0]?.error}`);
}

async function send(provider, count, tasks) {
  let next = 0;
  const worker = async () => {
    while (next < count) await push(provider, next++);
  };
  await Promise.all(Array.from({ length: tasks }, worker));
}

async function main() {
  const [port, ca, count, connections = '1'] = process.argv.slice(2);
  const tasks = IN_FLIGHT * Number(connections);
  const provider = providerOf(Number(port), ca, Number(connections));
  await send(provider, WARM_UP, tasks);
  const before = process.cpuUsage();
  const begin = process.hrtime.bigint();
  await send(provider, Number(count), tasks);
  const used = process.cpuUsage(before);
  console.log((used.user + used.system) / 1e6, Number(process.hrtime.bigint() - begin) / 1e9);
  await provider.shutdown();
  process.exit(0);
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
