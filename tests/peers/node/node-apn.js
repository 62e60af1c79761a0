// @parse/node-apn: a job as JSON on standard input, the result of each push as JSON on standard output.
'use strict';

const fs = require('node:fs');
const apn = require('@parse/node-apn');

async function main() {
  const job = JSON.parse(fs.readFileSync(0, 'utf8'));
  const provider = new apn.Provider({
    token: { key: job.key, keyId: job.keyId, teamId: job.teamId },
    address: job.host,
    port: job.port,
    ca: [job.ca],
    connectionRetryLimit: 1,
  });
  const push = async text => {
    const note = new apn.Notification({ topic: job.topic, pushType: 'alert', alert: text });
    const { sent, failed } = await provider.send(note, job.token);
    if (sent.length === 1) return { status: 200 };
    const [{ status, response, error }] = failed;
    if (!status) throw error ?? new Error(JSON.stringify(failed));
    return { status, reason: response?.reason ?? error?.message, timestamp: response?.timestamp };
  };
  const results = [await push(job.texts[0]), ...(await Promise.all(job.texts.slice(1).map(push)))];
  console.log(JSON.stringify(results));
  await provider.shutdown();
  process.exit(0);
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
