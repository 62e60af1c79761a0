-- Times are milliseconds since 1970, ids 16 bytes. Every table begins with the account.
-- Big blobs are rows of their own: a row that is updated often must not carry them along.

CREATE TABLE account (
  id BLOB NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
  account_id BLOB NOT NULL REFERENCES account (id),
  id BLOB NOT NULL,
  name TEXT NOT NULL,
  hash BLOB NOT NULL,
  scopes TEXT NOT NULL,              -- names with a space between
  created INTEGER NOT NULL,
  revoked INTEGER,
  PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX api_key_by_id ON api_key (id);  -- the one look-up that finds the account

CREATE TABLE app (
  account_id BLOB NOT NULL REFERENCES account (id),
  name TEXT NOT NULL,
  is_default INTEGER NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  PRIMARY KEY (account_id, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX app_default ON app (account_id) WHERE is_default = 1;

CREATE TABLE credential (
  account_id BLOB NOT NULL,
  id BLOB NOT NULL,
  app_name TEXT NOT NULL,
  type TEXT NOT NULL,
  form TEXT NOT NULL,
  public TEXT NOT NULL,              -- JSON
  sealed BLOB NOT NULL,
  is_default INTEGER NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  PRIMARY KEY (account_id, id),
  FOREIGN KEY (account_id, app_name) REFERENCES app (account_id, name)
) STRICT;
CREATE INDEX credential_by_app ON credential (account_id, app_name, type, id);
CREATE UNIQUE INDEX credential_default ON credential (account_id, app_name, type) WHERE is_default = 1;

CREATE TABLE user (
  account_id BLOB NOT NULL REFERENCES account (id),
  id BLOB NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  deleted INTEGER,
  PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE registration (
  account_id BLOB NOT NULL,
  id BLOB NOT NULL,
  app_name TEXT NOT NULL,
  user_id BLOB NOT NULL,
  free_slots BLOB NOT NULL,          -- one byte a slot: taken from the front, given back at the end
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  PRIMARY KEY (account_id, id),
  FOREIGN KEY (account_id, app_name) REFERENCES app (account_id, name),
  FOREIGN KEY (account_id, user_id) REFERENCES user (account_id, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX registration_by_user ON registration (account_id, app_name, user_id);

CREATE TABLE device (
  account_id BLOB NOT NULL,
  registration_id BLOB NOT NULL,
  slot INTEGER NOT NULL CHECK (slot BETWEEN 1 AND 63),
  app_name TEXT NOT NULL,
  provider TEXT NOT NULL,
  environment TEXT NOT NULL,         -- '' while it is not known
  kind TEXT NOT NULL,
  token BLOB NOT NULL,
  state TEXT NOT NULL,
  state_reason TEXT,
  registered_at INTEGER NOT NULL,
  created INTEGER NOT NULL,
  PRIMARY KEY (account_id, registration_id, slot),
  FOREIGN KEY (account_id, registration_id) REFERENCES registration (account_id, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX device_by_token ON device (account_id, app_name, token, provider, kind, environment);

CREATE TABLE operation (
  account_id BLOB NOT NULL REFERENCES account (id),
  id BLOB NOT NULL,
  app_name TEXT NOT NULL,            -- no reference: an operation outlives its app
  spec BLOB NOT NULL,                -- MessagePack
  lane INTEGER NOT NULL,
  recipients INTEGER NOT NULL,
  status TEXT NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  finished INTEGER,
  PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX operation_by_status ON operation (account_id, status, id);

CREATE TABLE chunk (
  account_id BLOB NOT NULL,
  operation_id BLOB NOT NULL,
  first INTEGER NOT NULL,            -- the sequence of its first recipient: with the operation's id it makes its id
  size INTEGER NOT NULL,
  lane INTEGER NOT NULL,
  shard INTEGER NOT NULL,
  state INTEGER NOT NULL,            -- 0 waiting, 1 leased, 2 done
  due INTEGER NOT NULL,              -- of a leased one: when the lease expires
  attempt INTEGER NOT NULL,          -- counts leases, and fences the writes of earlier ones
  worker TEXT NOT NULL,
  parts INTEGER NOT NULL,            -- result parts written so far
  sent INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  unaddressable INTEGER NOT NULL,
  canceled INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  PRIMARY KEY (account_id, operation_id, first),
  FOREIGN KEY (account_id, operation_id) REFERENCES operation (account_id, id)
) STRICT, WITHOUT ROWID;
-- A claim reads one shard of one lane in the order of `due`, whatever the account.
CREATE INDEX chunk_due ON chunk (lane, shard, due) WHERE state < 2;

CREATE TABLE chunk_recipients (
  account_id BLOB NOT NULL,
  operation_id BLOB NOT NULL,
  first INTEGER NOT NULL,
  packed BLOB NOT NULL,
  PRIMARY KEY (account_id, operation_id, first)
) STRICT;

CREATE TABLE chunk_result (
  account_id BLOB NOT NULL,
  operation_id BLOB NOT NULL,
  first INTEGER NOT NULL,
  part INTEGER NOT NULL,             -- append-only, counted from 1
  attempt INTEGER NOT NULL,
  packed BLOB NOT NULL,
  PRIMARY KEY (account_id, operation_id, first, part)
) STRICT;

-- Four bytes a user: finds the chunks that may hold one without unpacking the others.
CREATE TABLE chunk_user (
  account_id BLOB NOT NULL,
  operation_id BLOB NOT NULL,
  first INTEGER NOT NULL,
  fingerprints BLOB NOT NULL,
  PRIMARY KEY (account_id, operation_id, first)
) STRICT;
