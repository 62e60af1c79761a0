// apns2: a job as JSON on standard input, the result of each push as JSON on standard output.
//
// Its client calls port 443 and trusts what Node trusts; its pool is public, so another takes its place here.
'use strict';

const fs = require('node:fs');
const { ApnsClient, Notification } = require('apns2');
const { Pool } = require('undici');

async function main() {
  const job = JSON.parse(fs.readFileSync(0, 'utf8'));
  const client = new ApnsClient({ team: job.teamId, keyId: job.keyId, signingKey: job.key, defaultTopic: job.topic });
  await client.client.close();
  client.client = new Pool(`https://${job.host}:${job.port}`, {
    connections: 1,
    allowH2: true,
    maxConcurrentStreams: 100,
    connect: { ca: job.ca },
  });
  const push = async text => {
    try {
      await client.send(new Notification(job.token, { alert: text }));
      return { status: 200 };
    } catch (error) {
      if (!error.statusCode) throw error;
      return { status: error.statusCode, reason: error.reason, timestamp: error.response?.timestamp };
    }
  };
  const results = [await push(job.texts[0]), ...(await Promise.all(job.texts.slice(1).map(push)))];
  console.log(JSON.stringify(results));
  await client.close();
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
