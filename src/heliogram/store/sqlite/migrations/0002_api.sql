-- What the whole REST API keeps. Times are milliseconds since 1970.

ALTER TABLE account ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';    -- JSON: what this account may, where it differs
ALTER TABLE account ADD COLUMN disabled INTEGER;                       -- since when all its keys are refused
CREATE UNIQUE INDEX account_by_name ON account (name);

ALTER TABLE api_key ADD COLUMN expires INTEGER;
ALTER TABLE api_key ADD COLUMN lifetime INTEGER;                     -- of one made to expire: its successor lives as long
ALTER TABLE api_key ADD COLUMN last_used INTEGER;                    -- to the minute: it is not worth a write each time

-- Who changed what about accounts, keys and credentials. Never a secret.
CREATE TABLE audit (
  account_id BLOB NOT NULL REFERENCES account (id),
  id BLOB NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,               -- an API key's id, or what else acted, such as 'cli'
  action TEXT NOT NULL,
  subject TEXT NOT NULL,             -- the id of what was changed
  detail TEXT NOT NULL,              -- JSON
  PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;

ALTER TABLE credential ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;    -- counts rotations
ALTER TABLE credential ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1;       -- counts reconnects
ALTER TABLE credential ADD COLUMN revoked INTEGER;
ALTER TABLE credential ADD COLUMN warned INTEGER;    -- so many days before its end the account was told last

ALTER TABLE user ADD COLUMN external_id TEXT;
CREATE UNIQUE INDEX user_external ON user (account_id, external_id) WHERE external_id IS NOT NULL AND deleted IS NULL;

ALTER TABLE device ADD COLUMN installation_id TEXT;
ALTER TABLE device ADD COLUMN activity_id TEXT;      -- of a Live Activity's update token: which activity
ALTER TABLE device ADD COLUMN app_version TEXT;
ALTER TABLE device ADD COLUMN locale TEXT;
ALTER TABLE device ADD COLUMN time_zone TEXT;
ALTER TABLE device ADD COLUMN learned INTEGER NOT NULL DEFAULT 0;    -- the environment is what APNs' answers told
-- Of an installation there is at most one token of a kind, and of a Live Activity.
CREATE UNIQUE INDEX device_by_installation ON device (account_id, app_name, installation_id, kind, coalesce(activity_id, ''))
 WHERE installation_id IS NOT NULL;
-- The token before the app: one look-up finds it under every app of the account.
DROP INDEX device_by_token;
CREATE UNIQUE INDEX device_by_token ON device (account_id, token, app_name, provider, kind, environment);

ALTER TABLE operation ADD COLUMN send_at INTEGER;    -- of a scheduled one
ALTER TABLE operation ADD COLUMN send_at_text TEXT;  -- as it was given: the offset is kept
ALTER TABLE operation ADD COLUMN tags TEXT;          -- JSON object, NULL for none
ALTER TABLE operation ADD COLUMN canceled INTEGER;   -- when it was asked to stop
-- What is to begin by itself: a claim looks here first, so that no queue in front of it makes it late.
CREATE INDEX operation_scheduled ON operation (lane, send_at) WHERE status = 'SCHEDULED';
ALTER TABLE chunk ADD COLUMN claimed INTEGER NOT NULL DEFAULT 0;      -- when it was leased last: what was due then is sent

-- The answers to writes that carried an Idempotency-Key, kept for 24 hours. An unanswered one has the id that its
-- resource is to get, so that a write whose answer a crash swallowed is not done twice. Answers are sealed: some hold a
-- secret.
CREATE TABLE idempotency (
  account_id BLOB NOT NULL REFERENCES account (id),
  key TEXT NOT NULL,
  fingerprint BLOB NOT NULL,         -- of method, path and body
  ident BLOB NOT NULL,
  created INTEGER NOT NULL,
  held INTEGER,                      -- until when it is being handled; NULL: it was not done, and the key is free
  status INTEGER,
  headers TEXT,                      -- JSON
  sealed BLOB,                       -- the body
  PRIMARY KEY (account_id, key)
) STRICT;
CREATE INDEX idempotency_by_age ON idempotency (created);
CREATE INDEX idempotency_held ON idempotency (held) WHERE status IS NULL;

CREATE TABLE webhook (
  account_id BLOB NOT NULL REFERENCES account (id),
  id BLOB NOT NULL,
  url TEXT NOT NULL,
  types TEXT NOT NULL,               -- JSON list of event types
  description TEXT NOT NULL,
  sealed BLOB NOT NULL,              -- its signing secrets
  state TEXT NOT NULL,
  disabled_reason TEXT NOT NULL,
  event_cursor INTEGER NOT NULL,     -- the last `event.sequence` it was told
  result_cursor INTEGER NOT NULL,    -- the last `chunk_result.sequence` it was told in whole
  result_offset INTEGER NOT NULL,    -- how many notifications it was told of the part after that
  failures INTEGER NOT NULL,         -- attempts that failed one after another
  held_until INTEGER NOT NULL,       -- nothing is sent before
  skipped INTEGER NOT NULL,          -- events given up because the backlog was at its bound
  last_success INTEGER,
  last_error TEXT NOT NULL,
  last_error_at INTEGER,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;

-- A number that is never used twice for each result part: webhooks read them by a cursor.
CREATE TABLE numbered_result (
  account_id BLOB NOT NULL,
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  operation_id BLOB NOT NULL,
  first INTEGER NOT NULL,
  part INTEGER NOT NULL,             -- append-only, counted from 1
  attempt INTEGER NOT NULL,
  packed BLOB NOT NULL,
  UNIQUE (account_id, operation_id, first, part)
) STRICT;
INSERT INTO numbered_result (account_id, operation_id, first, part, attempt, packed)
  SELECT account_id, operation_id, first, part, attempt, packed FROM chunk_result ORDER BY rowid;
DROP TABLE chunk_result;
ALTER TABLE numbered_result RENAME TO chunk_result;
CREATE INDEX chunk_result_by_account ON chunk_result (account_id, sequence);

-- What happened, for webhooks; written only while the account has one. What became of notifications is not here but
-- read from the result parts.
CREATE TABLE event (
  account_id BLOB NOT NULL,
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL,
  type TEXT NOT NULL,
  at INTEGER NOT NULL,
  data TEXT NOT NULL                 -- JSON
) STRICT;
CREATE INDEX event_by_account ON event (account_id, sequence);

-- Batches that a webhook did not take at once: tried again for three days, then dead letters.
CREATE TABLE webhook_batch (
  account_id BLOB NOT NULL,
  webhook_id BLOB NOT NULL,
  id BLOB NOT NULL,
  body BLOB NOT NULL,
  events INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  due INTEGER,                       -- NULL: a dead letter
  error TEXT NOT NULL,               -- of the last attempt
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  PRIMARY KEY (account_id, webhook_id, id),
  FOREIGN KEY (account_id, webhook_id) REFERENCES webhook (account_id, id)
) STRICT;
CREATE INDEX webhook_batch_due ON webhook_batch (account_id, webhook_id, due);
