-- How credentials do, written by whoever sends with them: seldom, never for each push.

-- What the provider said last to a credential, whoever sent with it.
CREATE TABLE credential_answer (
  account_id BLOB NOT NULL,
  credential_id BLOB NOT NULL,
  answered INTEGER NOT NULL,         -- when its last answer came
  status INTEGER NOT NULL,
  reason TEXT NOT NULL,              -- the provider's word, '' for none
  succeeded INTEGER,                 -- when it took a push last
  PRIMARY KEY (account_id, credential_id),
  FOREIGN KEY (account_id, credential_id) REFERENCES credential (account_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Which credentials fail, as each process that sends knows it. A row counts while its process repeats it.
CREATE TABLE credential_trouble (
  account_id BLOB NOT NULL,
  credential_id BLOB NOT NULL,
  node BLOB NOT NULL,                -- the process
  reason TEXT NOT NULL,
  since INTEGER NOT NULL,
  probe_at INTEGER NOT NULL,
  seen INTEGER NOT NULL,             -- when it said so last
  PRIMARY KEY (account_id, credential_id, node),
  FOREIGN KEY (account_id, credential_id) REFERENCES credential (account_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX credential_trouble_of_node ON credential_trouble (node);
