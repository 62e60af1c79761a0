-- Device tokens that the provider refused for good and that nobody has registered: what is sent to them directly is
-- answered without asking again, for a day. A registered one says so itself.
CREATE TABLE refused_token (
  account_id BLOB NOT NULL,
  app_name TEXT NOT NULL,
  token BLOB NOT NULL,
  kind TEXT NOT NULL,
  environment TEXT NOT NULL,
  reason TEXT NOT NULL,              -- the provider's word
  credential_id BLOB NOT NULL,       -- what it was refused to
  at INTEGER NOT NULL,
  PRIMARY KEY (account_id, app_name, token, kind, environment)
) STRICT, WITHOUT ROWID;
CREATE INDEX refused_token_by_age ON refused_token (at);
