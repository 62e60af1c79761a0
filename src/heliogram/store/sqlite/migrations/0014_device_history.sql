-- What happened to devices, the newest few of each: written only when something did.
CREATE TABLE device_history (
  account_id BLOB NOT NULL,
  app_name TEXT NOT NULL,
  user_id BLOB NOT NULL,
  slot INTEGER NOT NULL,             -- which of the user's devices
  id BLOB NOT NULL,                  -- begins with the moment
  event TEXT NOT NULL,
  token TEXT NOT NULL,               -- its ends alone
  digest BLOB NOT NULL,              -- of the token
  provider TEXT NOT NULL,
  kind TEXT NOT NULL,
  environment TEXT NOT NULL,         -- '' while it is not known
  reason TEXT,                       -- the provider's word
  status INTEGER,                    -- the provider's
  invalid_since INTEGER,             -- by the provider
  first_registered INTEGER,          -- of a token that left
  last_registered INTEGER,
  successor TEXT,                    -- the ends of the token in its place
  PRIMARY KEY (account_id, app_name, user_id, slot, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_history_by_digest ON device_history (account_id, digest);
CREATE INDEX device_history_by_age ON device_history (id);
