-- Sessions of the dashboard that somebody signed out of, until they would have ended by themselves.
CREATE TABLE ended_session (
  account_id BLOB NOT NULL REFERENCES account (id),
  id TEXT NOT NULL,
  expires INTEGER NOT NULL,          -- ms
  PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX ended_session_by_end ON ended_session (account_id, expires);
CREATE INDEX ended_session_by_age ON ended_session (expires);
