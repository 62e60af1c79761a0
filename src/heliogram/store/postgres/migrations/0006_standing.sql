-- How credentials do, written by whoever sends with them: seldom, never for each push.

-- What the provider said last to a credential, whichever node sent with it.
CREATE TABLE credential_answer (
  account_id bytea NOT NULL,
  credential_id bytea NOT NULL,
  answered bigint NOT NULL,          -- when its last answer came
  status integer NOT NULL,
  reason text NOT NULL,              -- the provider's word, '' for none
  succeeded bigint,                  -- when it took a push last
  PRIMARY KEY (account_id, credential_id),
  FOREIGN KEY (account_id, credential_id) REFERENCES credential (account_id, id) ON DELETE CASCADE
) WITH (fillfactor = 80);

-- Which credentials fail, as each node that sends knows it. A row counts while its node repeats it.
CREATE TABLE credential_trouble (
  account_id bytea NOT NULL,
  credential_id bytea NOT NULL,
  node bytea NOT NULL,
  reason text NOT NULL,
  since bigint NOT NULL,
  probe_at bigint NOT NULL,
  seen bigint NOT NULL,              -- when it said so last
  PRIMARY KEY (account_id, credential_id, node),
  FOREIGN KEY (account_id, credential_id) REFERENCES credential (account_id, id) ON DELETE CASCADE
);
CREATE INDEX credential_trouble_of_node ON credential_trouble (node);
