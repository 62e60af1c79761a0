-- Accounts, keys, apps, credentials, users and devices. Times are milliseconds since 1970, ids 16 bytes. Every table
-- begins with the account. Text is compared byte by byte, as in the embedded store, whatever the database's collation.
-- Flags are numbers, as jobs write them: 0 or 1.

CREATE TABLE account (
  id bytea NOT NULL PRIMARY KEY,
  name text COLLATE "C" NOT NULL,
  created bigint NOT NULL,
  limits text NOT NULL DEFAULT '{}',     -- JSON: what this account may, where it differs
  disabled bigint                        -- since when all its keys are refused
);
CREATE UNIQUE INDEX account_by_name ON account (name);

CREATE TABLE api_key (
  account_id bytea NOT NULL REFERENCES account (id),
  id bytea NOT NULL,
  name text NOT NULL,
  hash bytea NOT NULL,
  scopes text NOT NULL,                  -- names with a space between
  created bigint NOT NULL,
  revoked bigint,
  expires bigint,
  lifetime bigint,                       -- of one made to expire: its successor lives as long
  last_used bigint,                      -- to the minute: it is not worth a write each time
  PRIMARY KEY (account_id, id)
);
CREATE UNIQUE INDEX api_key_by_id ON api_key (id);  -- the one look-up that finds the account

-- Who changed what about accounts, keys and credentials. Never a secret.
CREATE TABLE audit (
  account_id bytea NOT NULL REFERENCES account (id),
  id bytea NOT NULL,
  at bigint NOT NULL,
  actor text NOT NULL,                   -- an API key's id, or what else acted, such as 'cli'
  action text NOT NULL,
  subject text NOT NULL,                 -- the id of what was changed
  detail text NOT NULL,                  -- JSON
  PRIMARY KEY (account_id, id)
);

CREATE TABLE app (
  account_id bytea NOT NULL REFERENCES account (id),
  name text COLLATE "C" NOT NULL,
  is_default smallint NOT NULL,
  created bigint NOT NULL,
  updated bigint NOT NULL,
  leaving bigint,                        -- since when it is being removed: nobody sees it, its registrations go in slices
  PRIMARY KEY (account_id, name)
);
CREATE UNIQUE INDEX app_default ON app (account_id) WHERE is_default = 1;
CREATE INDEX app_leaving ON app (leaving, account_id, name) WHERE leaving IS NOT NULL;

CREATE TABLE credential (
  account_id bytea NOT NULL,
  id bytea NOT NULL,
  app_name text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,
  form text NOT NULL,
  public text NOT NULL,                  -- JSON
  sealed bytea NOT NULL,
  is_default smallint NOT NULL,
  created bigint NOT NULL,
  updated bigint NOT NULL,
  revision bigint NOT NULL DEFAULT 1,    -- counts rotations
  epoch bigint NOT NULL DEFAULT 1,       -- counts reconnects
  revoked bigint,
  warned bigint,                         -- so many days before its end the account was told last
  PRIMARY KEY (account_id, id),
  FOREIGN KEY (account_id, app_name) REFERENCES app (account_id, name)
);
CREATE INDEX credential_by_app ON credential (account_id, app_name, type, id);
CREATE UNIQUE INDEX credential_default ON credential (account_id, app_name, type) WHERE is_default = 1;

-- Not `user`: without quotes that is a function, and a SELECT from it works.
CREATE TABLE app_user (
  account_id bytea NOT NULL REFERENCES account (id),
  id bytea NOT NULL,
  created bigint NOT NULL,
  updated bigint NOT NULL,
  deleted bigint,
  external_id text COLLATE "C",
  PRIMARY KEY (account_id, id)
);
CREATE UNIQUE INDEX user_external ON app_user (account_id, external_id)
 WHERE external_id IS NOT NULL AND deleted IS NULL;
CREATE INDEX user_deleted ON app_user (deleted, account_id, id) WHERE deleted IS NOT NULL;

CREATE TABLE registration (
  account_id bytea NOT NULL,
  id bytea NOT NULL,
  app_name text COLLATE "C" NOT NULL,
  user_id bytea NOT NULL,
  free_slots bytea NOT NULL,             -- one byte a slot: taken from the front, given back at the end
  created bigint NOT NULL,
  updated bigint NOT NULL,
  PRIMARY KEY (account_id, id),
  FOREIGN KEY (account_id, app_name) REFERENCES app (account_id, name),
  FOREIGN KEY (account_id, user_id) REFERENCES app_user (account_id, id)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX registration_by_user ON registration (account_id, app_name, user_id);
-- Removing a user asks for its registrations, whatever the app.
CREATE INDEX registration_of_user ON registration (account_id, user_id);

-- `user_id` is the registration's: with it one index answers what sending asks, and the embedded store's table
-- `reachable` is not needed. Nothing that registering the same token again changes is in an index, so that such an
-- update touches none.
CREATE TABLE device (
  account_id bytea NOT NULL,
  registration_id bytea NOT NULL,
  slot smallint NOT NULL CHECK (slot BETWEEN 1 AND 63),
  app_name text COLLATE "C" NOT NULL,
  user_id bytea NOT NULL,
  provider text COLLATE "C" NOT NULL,
  environment text COLLATE "C" NOT NULL, -- '' while it is not known
  kind text COLLATE "C" NOT NULL,
  token bytea NOT NULL,
  state text COLLATE "C" NOT NULL,
  state_reason text,
  registered_at bigint NOT NULL,
  created bigint NOT NULL,
  installation_id text COLLATE "C",
  activity_id text COLLATE "C",          -- of a Live Activity's update token: which activity
  app_version text,
  locale text,
  time_zone text,
  learned smallint NOT NULL DEFAULT 0,   -- the environment is what APNs' answers told
  PRIMARY KEY (account_id, registration_id, slot),
  FOREIGN KEY (account_id, registration_id) REFERENCES registration (account_id, id)
) WITH (fillfactor = 80);
-- The token before the app: one look-up finds it under every app of the account.
CREATE UNIQUE INDEX device_by_token ON device (account_id, token, app_name, provider, kind, environment);
-- Of an installation there is at most one token of a kind, and of a Live Activity.
CREATE UNIQUE INDEX device_by_installation
    ON device (account_id, app_name, installation_id, kind, coalesce(activity_id, ''))
 WHERE installation_id IS NOT NULL;
-- Which of a user's devices can be sent to, without a look at the devices themselves.
CREATE INDEX device_reachable ON device (account_id, app_name, user_id, slot)
 INCLUDE (provider, environment, kind, token, activity_id) WHERE state = 'active';
-- The few that are quarantined: each direct send asks for them, and must not read every device it names.
CREATE INDEX device_quarantined ON device (account_id, token, app_name, provider, kind)
 INCLUDE (environment, state_reason) WHERE state = 'quarantined';

-- Device tokens that the provider refused for good and that nobody has registered: what is sent to them directly is
-- answered without asking again, for a day. A registered one says so itself.
CREATE TABLE refused_token (
  account_id bytea NOT NULL,
  app_name text COLLATE "C" NOT NULL,
  token bytea NOT NULL,
  kind text COLLATE "C" NOT NULL,
  environment text COLLATE "C" NOT NULL,
  reason text NOT NULL,                  -- the provider's word
  credential_id bytea NOT NULL,          -- what it was refused to
  at bigint NOT NULL,
  PRIMARY KEY (account_id, app_name, token, kind, environment)
);
CREATE INDEX refused_token_by_age ON refused_token (at);

-- The answers to writes that carried an Idempotency-Key, kept for 24 hours. An unanswered one has the id that its
-- resource is to get, so that a write whose answer a crash swallowed is not done twice. Answers are sealed: some hold a
-- secret.
CREATE TABLE idempotency (
  account_id bytea NOT NULL REFERENCES account (id),
  key text COLLATE "C" NOT NULL,
  fingerprint bytea NOT NULL,            -- of method, path and body
  ident bytea NOT NULL,
  created bigint NOT NULL,
  held bigint,                           -- until when it is being handled; NULL: it was not done, and the key is free
  status bigint,
  headers text,                          -- JSON
  sealed bytea,                          -- the body
  PRIMARY KEY (account_id, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created);
CREATE INDEX idempotency_held ON idempotency (held) WHERE status IS NULL;
