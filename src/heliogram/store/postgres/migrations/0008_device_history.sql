-- What happened to devices, the newest few of each: written only when something did.
CREATE TABLE device_history (
  account_id bytea NOT NULL,
  app_name text NOT NULL,
  user_id bytea NOT NULL,
  slot smallint NOT NULL,            -- which of the user's devices
  id bytea NOT NULL,                 -- begins with the moment
  event text NOT NULL,
  token text NOT NULL,               -- its ends alone
  digest bytea NOT NULL,             -- of the token
  provider text NOT NULL,
  kind text NOT NULL,
  environment text NOT NULL,         -- '' while it is not known
  reason text,                       -- the provider's word
  status integer,                    -- the provider's
  invalid_since bigint,              -- by the provider
  first_registered bigint,           -- of a token that left
  last_registered bigint,
  successor text,                    -- the ends of the token in its place
  PRIMARY KEY (account_id, app_name, user_id, slot, id)
);
CREATE INDEX device_history_by_digest ON device_history (account_id, digest);
CREATE INDEX device_history_by_age ON device_history (id);
