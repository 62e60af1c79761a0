-- What happens for every push or every chunk, in one round trip each. Unlike what the store's other jobs do, these run
-- under READ COMMITTED, and rows are locked where it matters which of two comes first:
--   * a chunk changes only by who holds it, `attempt` and `state` being looked at under its lock;
--   * whether a chunk is its operation's last, and whether the operation was asked to stop, is looked at with the
--     operation's row locked, and by whoever cancels, too: the second of two sees all that the first did.
-- Who locks both locks the operation first, but for a claim, which waits for no lock.

-- 1: kept. 0: it would pass a bound. 2: a webhook may want to know, and `loud` says that nobody would tell it: nothing
-- was kept. 3: an operation with this id is there already. With 0 and 1, how many wait and have ended.
--
-- Sends that are accepted at one moment do not see each other. While they would fill a bound beyond `near` they go one
-- after another, waiting for those before; so a bound is passed only by what comes at one moment from below it.
CREATE FUNCTION accept_send(
  p_account bytea, p_operation bytea, p_app text, p_spec bytea, p_lane integer, p_recipients integer, p_status text,
  p_created bigint, p_updated bigint, p_send_at bigint, p_send_at_text text, p_tags text,
  p_shard integer, p_flow bytea, p_state integer, p_due bigint, p_attempt integer, p_worker text, p_claimed bigint,
  p_starts integer, p_firsts integer[], p_sizes integer[], p_packed bytea[], p_prints bytea[],
  p_most bigint, p_near bigint, p_account_most bigint, p_account_near bigint, p_loud boolean,
  OUT outcome integer, OUT waiting bigint, OUT ended bigint, OUT account_waiting bigint, OUT account_ended bigint
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  full_soon boolean := false;
  place integer := hashtext(encode(p_account, 'hex'));
BEGIN
  IF p_most IS NOT NULL THEN
    FOR again IN 1..2 LOOP
      SELECT coalesce(sum(d.waiting) FILTER (WHERE d.account_id = ''), 0),
             coalesce(sum(d.ended) FILTER (WHERE d.account_id = ''), 0),
             coalesce(sum(d.waiting) FILTER (WHERE d.account_id <> ''), 0),
             coalesce(sum(d.ended) FILTER (WHERE d.account_id <> ''), 0)
        INTO waiting, ended, account_waiting, account_ended
        FROM queue_depth d WHERE d.account_id IN ('', p_account);
      EXIT WHEN again = 2;
      IF waiting + p_recipients > p_near THEN
        PERFORM pg_advisory_xact_lock(1212501073, 0);
        full_soon := true;
      ELSE
        PERFORM pg_advisory_xact_lock_shared(1212501073, 0);
      END IF;
      IF account_waiting + p_recipients > p_account_near THEN
        PERFORM pg_advisory_xact_lock(1212501074, place);
        full_soon := true;
      ELSE
        PERFORM pg_advisory_xact_lock_shared(1212501074, place);
      END IF;
      EXIT WHEN NOT full_soon;
    END LOOP;
    IF waiting + p_recipients > p_most OR account_waiting + p_recipients > p_account_most THEN
      outcome := 0;
      RETURN;
    END IF;
  END IF;
  IF NOT p_loud AND EXISTS (SELECT 1 FROM webhook w WHERE w.account_id = p_account AND w.state <> 'disabled') THEN
    outcome := 2;
    RETURN;
  END IF;
  INSERT INTO operation (account_id, id, app_name, spec, lane, recipients, status, created, updated,
                         send_at, send_at_text, tags)
  VALUES (p_account, p_operation, p_app, p_spec, p_lane, p_recipients, p_status, p_created, p_updated,
          p_send_at, p_send_at_text, p_tags)
      ON CONFLICT (account_id, id) DO NOTHING;
  IF NOT FOUND THEN
    outcome := 3;
    RETURN;
  END IF;
  INSERT INTO chunk (account_id, operation_id, first, size, lane, shard, state, due, attempt, worker, claimed, parts,
                     sent, failed, unaddressable, canceled, updated, flow, starts)
  SELECT p_account, p_operation, c.first, c.size, p_lane, p_shard, p_state, p_due, p_attempt, p_worker, p_claimed, 0,
         0, 0, 0, 0, p_updated, p_flow, CASE WHEN c.first = 0 THEN p_starts ELSE 0 END
    FROM unnest(p_firsts, p_sizes) c (first, size);
  INSERT INTO chunk_recipients (account_id, operation_id, first, packed)
  SELECT p_account, p_operation, c.first, c.packed FROM unnest(p_firsts, p_packed) c (first, packed);
  INSERT INTO chunk_user (account_id, operation_id, first, fingerprints)
  SELECT p_account, p_operation, c.first, c.prints FROM unnest(p_firsts, p_prints) c (first, prints)
   WHERE c.prints <> '';
  outcome := 1;
END $$;

-- Appends a result part; false when another attempt holds the chunk.
CREATE FUNCTION append_part(
  p_account bytea, p_operation bytea, p_first integer, p_attempt integer,
  p_sent integer, p_failed integer, p_unaddressable integer, p_packed bytea, p_at bigint
) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  number integer;
BEGIN
  UPDATE chunk
     SET parts = parts + 1, sent = p_sent, failed = p_failed, unaddressable = p_unaddressable,
         updated = greatest(updated, p_at)
   WHERE account_id = p_account AND operation_id = p_operation AND first = p_first AND attempt = p_attempt
     AND state = 1
  RETURNING parts INTO number;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  INSERT INTO chunk_result (account_id, operation_id, first, part, attempt, packed)
  VALUES (p_account, p_operation, p_first, number, p_attempt, p_packed);
  RETURN true;
END $$;

-- The chunk is done, with a last part if there is one, and with its last chunk the operation. 1: so it is. 0: another
-- attempt holds it. 2: there is more to do than this does, and nothing was done.
CREATE FUNCTION finish_chunk(
  p_account bytea, p_operation bytea, p_first integer, p_attempt integer, p_at bigint,
  p_sent integer, p_failed integer, p_unaddressable integer, p_packed bytea, p_part_at bigint
) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  stopped bigint;
  number integer;
  is_last boolean;
BEGIN
  SELECT canceled INTO stopped FROM operation WHERE account_id = p_account AND id = p_operation FOR NO KEY UPDATE;
  is_last := NOT EXISTS (SELECT 1 FROM chunk WHERE account_id = p_account AND operation_id = p_operation
                                               AND first <> p_first AND state < 2);
  IF stopped IS NOT NULL
     OR is_last AND EXISTS (SELECT 1 FROM webhook WHERE account_id = p_account AND state <> 'disabled') THEN
    RETURN 2;
  END IF;
  IF p_packed IS NULL THEN
    UPDATE chunk SET state = 2, due = p_at, updated = greatest(updated, p_at)
     WHERE account_id = p_account AND operation_id = p_operation AND first = p_first AND attempt = p_attempt
       AND state = 1;
    IF NOT FOUND THEN
      RETURN 0;
    END IF;
  ELSE
    UPDATE chunk
       SET state = 2, due = p_at, updated = greatest(updated, p_at, p_part_at), parts = parts + 1,
           sent = p_sent, failed = p_failed, unaddressable = p_unaddressable
     WHERE account_id = p_account AND operation_id = p_operation AND first = p_first AND attempt = p_attempt
       AND state = 1
    RETURNING parts INTO number;
    IF NOT FOUND THEN
      RETURN 0;
    END IF;
    INSERT INTO chunk_result (account_id, operation_id, first, part, attempt, packed)
    VALUES (p_account, p_operation, p_first, number, p_attempt, p_packed);
  END IF;
  IF is_last THEN
    UPDATE operation
       SET status = CASE WHEN recipients = (SELECT sum(c.canceled) FROM chunk c
                                             WHERE c.account_id = p_account AND c.operation_id = p_operation)
                         THEN 'CANCELED' ELSE 'COMPLETED' END,
           finished = p_at, updated = greatest(updated, p_at)
     WHERE account_id = p_account AND id = p_operation AND finished IS NULL;
  END IF;
  RETURN 1;
END $$;

-- Gives a chunk back. 1: so it is. 0: another attempt holds it. 2: its operation was asked to stop, 3: it has more than
-- `p_parts` result parts; nothing was done then.
CREATE FUNCTION release_chunk(
  p_account bytea, p_operation bytea, p_first integer, p_attempt integer, p_due bigint, p_held bytea, p_parts integer
) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  stopped bigint;
BEGIN
  SELECT canceled INTO stopped FROM operation WHERE account_id = p_account AND id = p_operation FOR NO KEY UPDATE;
  IF stopped IS NOT NULL THEN
    RETURN 2;
  END IF;
  UPDATE chunk SET state = 0, due = p_due, worker = '', held = p_held
   WHERE account_id = p_account AND operation_id = p_operation AND first = p_first AND attempt = p_attempt
     AND state = 1 AND parts <= p_parts;
  IF FOUND THEN
    RETURN 1;
  END IF;
  IF EXISTS (SELECT 1 FROM chunk
              WHERE account_id = p_account AND operation_id = p_operation AND first = p_first
                AND attempt = p_attempt AND state = 1) THEN
    RETURN 3;
  END IF;
  RETURN 0;
END $$;

-- Days whose partitions are going: every operation in them was over long enough when this was written.
CREATE TABLE going (
  low bytea PRIMARY KEY,             -- ids from here on
  high bytea NOT NULL                -- and below
);
