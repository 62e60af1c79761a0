-- Sessions of the dashboard that somebody signed out of, until they would have ended by themselves.
CREATE TABLE ended_session (
  account_id bytea NOT NULL REFERENCES account (id),
  id text NOT NULL,
  expires bigint NOT NULL,           -- ms
  PRIMARY KEY (account_id, id)
);
CREATE INDEX ended_session_by_end ON ended_session (account_id, expires);
CREATE INDEX ended_session_by_age ON ended_session (expires);

-- What nodes tell each other of the last minutes, of accounts that somebody looks at. Nothing else is made of it, so it
-- is written to no log, and gone after a crash of the server.

-- Accounts that somebody looks at, or once looked at. Whoever tells of one locks its row, so what is told of an account
-- is numbered in the order in which it can be read.
CREATE UNLOGGED TABLE activity_wanted (
  account_id bytea PRIMARY KEY,
  until bigint NOT NULL,             -- wanted until then (ms)
  turn bigint NOT NULL DEFAULT 0,    -- of the last row that was told
  last bigint NOT NULL DEFAULT 0     -- outcomes of the account up to and with that row
) WITH (fillfactor = 50);

CREATE UNLOGGED TABLE activity_told (
  account_id bytea NOT NULL,
  turn bigint NOT NULL,
  node bytea NOT NULL,
  number bigint NOT NULL,            -- the node's own: what it tells again, not knowing whether it was heard, is there once
  name text NOT NULL,                -- of the node
  at bigint NOT NULL,
  last bigint NOT NULL,              -- outcomes of the account up to and with this row
  outcomes bigint NOT NULL,          -- how many of them are this row's
  body bytea NOT NULL,
  PRIMARY KEY (account_id, turn),
  UNIQUE (account_id, node, number)
);
CREATE INDEX activity_told_by_age ON activity_told (at);

-- Somebody looks at an account for so long (ms) from now on: whether nobody had for a while, and how far it was told.
CREATE FUNCTION want_activity(account bytea, for_ms bigint, OUT fresh boolean, OUT told_to bigint)
LANGUAGE plpgsql AS $$
DECLARE
  known activity_wanted%ROWTYPE;
BEGIN
  INSERT INTO activity_wanted (account_id, until) VALUES (account, 0) ON CONFLICT (account_id) DO NOTHING;
  SELECT * INTO known FROM activity_wanted WHERE account_id = account FOR UPDATE;
  fresh := known.until <= now_ms();
  told_to := known.turn;
  UPDATE activity_wanted SET until = greatest(known.until, now_ms() + for_ms) WHERE account_id = account;
END $$;

-- What a node knows of an account that nobody was told: whether anybody ever looked at it. What it told before under the
-- same number is there once.
CREATE FUNCTION tell_activity(account bytea, of_node bytea, of_number bigint, of_name text, more bigint, told bytea)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  mine activity_wanted%ROWTYPE;
BEGIN
  PERFORM FROM activity_wanted WHERE account_id = account FOR UPDATE;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  IF EXISTS (SELECT FROM activity_told WHERE account_id = account AND node = of_node AND number = of_number) THEN
    RETURN true;
  END IF;
  UPDATE activity_wanted SET turn = turn + 1, last = last + more WHERE account_id = account RETURNING * INTO mine;
  INSERT INTO activity_told (account_id, turn, node, number, name, at, last, outcomes, body)
  VALUES (account, mine.turn, of_node, of_number, of_name, now_ms(), mine.last, more, told);
  RETURN true;
END $$;
