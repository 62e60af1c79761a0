-- What is sent: operations, their chunks in partitions of a day, what became of them, and webhooks.
-- Times are milliseconds since 1970, ids 16 bytes. What a chunk is made of stands in partitions by the operation's id,
-- which begins with its time; they are made by store/postgres/partitions.py, and what nobody made one for is in the
-- default ones.

CREATE TABLE operation (
  account_id bytea NOT NULL REFERENCES account (id),
  id bytea NOT NULL,
  app_name text NOT NULL,            -- no reference: an operation outlives its app
  spec bytea NOT NULL,               -- MessagePack
  lane integer NOT NULL,
  recipients integer NOT NULL,
  status text NOT NULL,
  created bigint NOT NULL,
  updated bigint NOT NULL,
  finished bigint,
  send_at bigint,                    -- of a scheduled one
  send_at_text text,                 -- as it was given: the offset is kept
  tags text,                         -- JSON object, NULL for none
  canceled bigint,                   -- when it was asked to stop
  PRIMARY KEY (account_id, id)
) WITH (fillfactor = 85);
CREATE INDEX operation_by_status ON operation (account_id, status, id);
CREATE INDEX operation_finished ON operation (finished, account_id, id) WHERE finished IS NOT NULL;

-- A chunk refers to its operation without a foreign key: the operation goes first, so that nobody sees half of one.
CREATE TABLE chunk (
  account_id bytea NOT NULL,
  operation_id bytea NOT NULL,
  first integer NOT NULL,            -- the sequence of its first recipient: with the operation's id it makes its id
  size integer NOT NULL,
  lane integer NOT NULL,
  shard integer NOT NULL,
  state integer NOT NULL,            -- 0 waiting, 1 leased, 2 done
  due bigint NOT NULL,               -- of a leased one: when the lease expires
  attempt integer NOT NULL,          -- counts leases, and fences the writes of earlier ones
  worker text NOT NULL,
  parts integer NOT NULL,            -- result parts written so far
  sent integer NOT NULL,
  failed integer NOT NULL,
  unaddressable integer NOT NULL,
  canceled integer NOT NULL,
  updated bigint NOT NULL,
  claimed bigint NOT NULL DEFAULT 0, -- when it was leased last: what was due then is sent
  held bytea,                        -- the credential it waits for
  flow bytea NOT NULL,               -- which queue of its account it stands in
  starts integer NOT NULL,           -- 1 for the first chunk of a scheduled operation until it was handed out
  PRIMARY KEY (account_id, operation_id, first)
) PARTITION BY RANGE (operation_id);
-- A claim reads one shard of one lane, a queue of it in the order of `due`, of what is due at one moment the earlier
-- recipients first.
CREATE INDEX chunk_due ON chunk (lane, shard, flow, due, operation_id, first) WHERE state < 2;
CREATE INDEX chunk_starting ON chunk (lane, shard, flow, due, operation_id, first) WHERE state < 2 AND starts = 1;
CREATE INDEX chunk_held ON chunk (account_id, held) WHERE held IS NOT NULL AND state = 0;

CREATE TABLE chunk_recipients (
  account_id bytea NOT NULL,
  operation_id bytea NOT NULL,
  first integer NOT NULL,
  packed bytea NOT NULL,
  PRIMARY KEY (account_id, operation_id, first)
) PARTITION BY RANGE (operation_id);
ALTER TABLE chunk_recipients ALTER packed SET STORAGE EXTERNAL;    -- it is compressed already

-- Four bytes a user: finds the chunks that may hold one without unpacking the others.
CREATE TABLE chunk_user (
  account_id bytea NOT NULL,
  operation_id bytea NOT NULL,
  first integer NOT NULL,
  fingerprints bytea NOT NULL,
  PRIMARY KEY (account_id, operation_id, first)
) PARTITION BY RANGE (operation_id);
ALTER TABLE chunk_user ALTER fingerprints SET STORAGE EXTERNAL;

-- Webhooks read events and result parts by a cursor. A number from a PostgreSQL sequence is no place to go on from: a
-- lower one may be committed later. This one is made of the transaction's number and a count within it, so that whatever
-- is not committed yet, or not begun, comes behind all that is below `settled_below()`.
CREATE TABLE numbering (
  whole boolean PRIMARY KEY DEFAULT true CHECK (whole),
  base bigint NOT NULL,              -- added to transactions' numbers: they begin anew in another cluster
  cluster bigint NOT NULL            -- which one `base` is for
);
INSERT INTO numbering (base, cluster) SELECT 0, system_identifier FROM pg_control_system();

CREATE FUNCTION next_number() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  count bigint := coalesce(nullif(current_setting('heliogram.numbers', true), ''), '0');
BEGIN
  PERFORM set_config('heliogram.numbers', (count + 1)::text, true);
  RETURN ((pg_current_xact_id()::text::bigint + (SELECT base FROM numbering)) << 20) + count;
END $$;

-- Every number below it is of a transaction that has ended.
CREATE FUNCTION settled_below() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + base) << 20 FROM numbering
$$;

CREATE TABLE chunk_result (
  account_id bytea NOT NULL,
  sequence bigint NOT NULL DEFAULT next_number(),
  operation_id bytea NOT NULL,
  first integer NOT NULL,
  part integer NOT NULL,             -- append-only, counted from 1
  attempt integer NOT NULL,
  packed bytea NOT NULL,
  PRIMARY KEY (account_id, operation_id, first, part)
) PARTITION BY RANGE (operation_id);
ALTER TABLE chunk_result ALTER packed SET STORAGE EXTERNAL;
CREATE INDEX chunk_result_by_account ON chunk_result (account_id, sequence);

CREATE TABLE chunk_default PARTITION OF chunk DEFAULT WITH (fillfactor = 70);
CREATE TABLE chunk_recipients_default PARTITION OF chunk_recipients DEFAULT;
CREATE TABLE chunk_user_default PARTITION OF chunk_user DEFAULT;
CREATE TABLE chunk_result_default PARTITION OF chunk_result DEFAULT;

-- Operations that are gone, of whose chunks something is left to be removed.
CREATE TABLE leaving (
  account_id bytea NOT NULL,
  operation_id bytea NOT NULL,
  PRIMARY KEY (account_id, operation_id)
);

-- How many recipients of an account were accepted and have not ended, and how many have ended since counting began; the
-- rows without an account count all of them. Whoever wants to know adds up 16 rows: each connection writes to one of
-- them, so that nodes seldom wait for each other's commits. Kept by triggers, so that no statement can forget it.
CREATE TABLE queue_depth (
  account_id bytea NOT NULL,
  slot integer NOT NULL,
  waiting bigint NOT NULL,
  ended bigint NOT NULL,
  PRIMARY KEY (account_id, slot)
) WITH (fillfactor = 25, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- `more` recipients wait, and `over` have ended.
CREATE FUNCTION count_depth(account bytea, more bigint, over bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
  INSERT INTO queue_depth AS d (account_id, slot, waiting, ended)
  VALUES (account, pg_backend_pid() % 16, more, over), ('', pg_backend_pid() % 16, more, over)
      ON CONFLICT (account_id, slot) DO UPDATE SET waiting = d.waiting + more, ended = d.ended + over
$$;

CREATE FUNCTION account_was_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO queue_depth AS d (account_id, slot, waiting, ended)
  SELECT '', pg_backend_pid() % 16, -coalesce(sum(waiting), 0), 0 FROM queue_depth WHERE account_id = old.id
      ON CONFLICT (account_id, slot) DO UPDATE SET waiting = d.waiting + excluded.waiting;
  DELETE FROM queue_depth WHERE account_id = old.id;
  RETURN NULL;
END $$;
CREATE TRIGGER account_removed AFTER DELETE ON account FOR EACH ROW EXECUTE FUNCTION account_was_removed();

CREATE FUNCTION chunks_were_accepted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM count_depth(account_id, sum(size - sent - failed - unaddressable - canceled), 0)
     FROM came WHERE state < 2 GROUP BY account_id;
  RETURN NULL;
END $$;
CREATE TRIGGER chunk_accepted AFTER INSERT ON chunk REFERENCING NEW TABLE AS came
   FOR EACH STATEMENT EXECUTE FUNCTION chunks_were_accepted();

-- Recipients end when an answer is counted; whatever a chunk that is done says of them, none of them waits.
CREATE FUNCTION chunk_did_go_on() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  before bigint := CASE WHEN old.state < 2
                        THEN old.size - old.sent - old.failed - old.unaddressable - old.canceled ELSE 0 END;
  after bigint := CASE WHEN new.state < 2
                       THEN new.size - new.sent - new.failed - new.unaddressable - new.canceled ELSE 0 END;
BEGIN
  IF before <> after THEN
    PERFORM count_depth(new.account_id, after - before, before - after);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER chunk_went_on AFTER UPDATE ON chunk FOR EACH ROW
  WHEN ((old.state < 2) <> (new.state < 2) OR old.size - old.sent - old.failed - old.unaddressable - old.canceled
                                           <> new.size - new.sent - new.failed - new.unaddressable - new.canceled)
  EXECUTE FUNCTION chunk_did_go_on();

CREATE FUNCTION chunks_were_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM count_depth(account_id, -sum(size - sent - failed - unaddressable - canceled), 0)
     FROM went WHERE state < 2 GROUP BY account_id;
  RETURN NULL;
END $$;
CREATE TRIGGER chunk_removed AFTER DELETE ON chunk REFERENCING OLD TABLE AS went
   FOR EACH STATEMENT EXECUTE FUNCTION chunks_were_removed();

CREATE TABLE webhook (
  account_id bytea NOT NULL REFERENCES account (id),
  id bytea NOT NULL,
  url text NOT NULL,
  types text NOT NULL,               -- JSON list of event types
  description text NOT NULL,
  sealed bytea NOT NULL,             -- its signing secrets
  state text NOT NULL,
  disabled_reason text NOT NULL,
  event_cursor bigint NOT NULL,      -- the last `event.sequence` it was told
  result_cursor bigint NOT NULL,     -- the last `chunk_result.sequence` it was told in whole
  result_offset bigint NOT NULL,     -- how many notifications it was told of the part after that
  failures integer NOT NULL,         -- attempts that failed one after another
  held_until bigint NOT NULL,        -- nothing is sent before
  skipped bigint NOT NULL,           -- events given up because the backlog was at its bound
  last_success bigint,
  last_error text NOT NULL,
  last_error_at bigint,
  created bigint NOT NULL,
  updated bigint NOT NULL,
  PRIMARY KEY (account_id, id)
);

-- What happened, for webhooks; written only while the account has one. What became of notifications is not here but
-- read from the result parts.
CREATE TABLE event (
  account_id bytea NOT NULL,
  sequence bigint NOT NULL DEFAULT next_number(),
  id bytea NOT NULL,
  type text NOT NULL,
  at bigint NOT NULL,
  data text NOT NULL,                -- JSON
  PRIMARY KEY (account_id, sequence)
);

-- Batches that a webhook did not take at once: tried again for three days, then dead letters.
CREATE TABLE webhook_batch (
  account_id bytea NOT NULL,
  webhook_id bytea NOT NULL,
  id bytea NOT NULL,
  body bytea NOT NULL,
  events integer NOT NULL,
  attempts integer NOT NULL,
  due bigint,                        -- NULL: a dead letter
  error text NOT NULL,               -- of the last attempt
  created bigint NOT NULL,
  updated bigint NOT NULL,
  PRIMARY KEY (account_id, webhook_id, id),
  FOREIGN KEY (account_id, webhook_id) REFERENCES webhook (account_id, id)
);
CREATE INDEX webhook_batch_due ON webhook_batch (account_id, webhook_id, due);
