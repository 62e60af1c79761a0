-- Small sends that end at the same moment are ended together, statement by statement for all of them; and what that
-- changes of the queue's depth is counted once for a statement, not for each row: 64 ends wrote the same two rows 64
-- times. A send to one costs the server a third of what it did for that.

-- Recipients end when an answer is counted; whatever a chunk that is done says of them, none of them waits.
CREATE FUNCTION chunks_went_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM count_depth(account_id, sum(change)::bigint, -sum(change)::bigint)
     FROM (SELECT account_id, sent + failed + unaddressable + canceled - size AS change FROM was WHERE state < 2
            UNION ALL
           SELECT account_id, size - sent - failed - unaddressable - canceled FROM became WHERE state < 2) c
    GROUP BY account_id HAVING sum(change) <> 0;
  RETURN NULL;
END $$;
DROP TRIGGER chunk_went_on ON chunk;
CREATE TRIGGER chunk_went_on AFTER UPDATE ON chunk REFERENCING OLD TABLE AS was NEW TABLE AS became
   FOR EACH STATEMENT EXECUTE FUNCTION chunks_went_on();
DROP FUNCTION chunk_did_go_on();

-- What `finish_chunk` says of each of these chunks, in their order. Their operations are locked in that order, too: it
-- is the same for all who do this. `state + 0` keeps a planner that saw few rows from reading all that are not done.
CREATE FUNCTION finish_chunks(
  p_accounts bytea[], p_operations bytea[], p_firsts integer[], p_attempts integer[], p_at bigint[],
  p_sent integer[], p_failed integer[], p_unaddressable integer[], p_packed bytea[], p_part_at bigint[]
) RETURNS integer[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  outcomes integer[];
  lasts boolean[];
  done integer[];
  place integer;
BEGIN
  PERFORM l.locked
     FROM unnest(p_accounts, p_operations) k (account, operation)
     CROSS JOIN LATERAL (SELECT 1 AS locked FROM operation o WHERE o.account_id = k.account AND o.id = k.operation
                            FOR NO KEY UPDATE) l;
  IF EXISTS (SELECT 1 FROM unnest(p_accounts, p_operations) k (account, operation)
              GROUP BY account, operation HAVING count(*) > 1) THEN
    FOR place IN 1..cardinality(p_firsts) LOOP  -- of two of one operation the second may be its last
      outcomes[place] := finish_chunk(
        p_accounts[place], p_operations[place], p_firsts[place], p_attempts[place], p_at[place],
        p_sent[place], p_failed[place], p_unaddressable[place], p_packed[place], p_part_at[place]);
    END LOOP;
    RETURN outcomes;
  END IF;
  SELECT array_agg(CASE WHEN o.canceled IS NOT NULL OR l.is_last AND w.is_told THEN 2 ELSE 0 END ORDER BY k.number),
         array_agg(l.is_last ORDER BY k.number)
    INTO outcomes, lasts
    FROM unnest(p_accounts, p_operations, p_firsts) WITH ORDINALITY k (account, operation, first, number)
    LEFT JOIN LATERAL (SELECT canceled FROM operation WHERE account_id = k.account AND id = k.operation LIMIT 1) o
           ON true
   CROSS JOIN LATERAL (SELECT NOT EXISTS (
           SELECT 1 FROM chunk c WHERE c.account_id = k.account AND c.operation_id = k.operation
                                   AND c.first <> k.first AND c.state + 0 < 2) AS is_last) l
   CROSS JOIN LATERAL (SELECT EXISTS (
           SELECT 1 FROM webhook WHERE account_id = k.account AND state <> 'disabled') AS is_told) w;
  WITH ended AS (
    UPDATE chunk c
       SET state = 2, due = k.at, parts = c.parts + CASE WHEN k.packed IS NULL THEN 0 ELSE 1 END,
           updated = greatest(c.updated, k.at, CASE WHEN k.packed IS NULL THEN k.at ELSE k.part_at END),
           sent = CASE WHEN k.packed IS NULL THEN c.sent ELSE k.sent END,
           failed = CASE WHEN k.packed IS NULL THEN c.failed ELSE k.failed END,
           unaddressable = CASE WHEN k.packed IS NULL THEN c.unaddressable ELSE k.unaddressable END
      FROM unnest(p_accounts, p_operations, p_firsts, p_attempts, p_at, p_sent, p_failed, p_unaddressable, p_packed,
                  p_part_at, outcomes) WITH ORDINALITY
           k (account, operation, first, attempt, at, sent, failed, unaddressable, packed, part_at, outcome, number)
     WHERE k.outcome = 0
       AND c.account_id = k.account AND c.operation_id = k.operation AND c.first = k.first AND c.attempt = k.attempt
       AND c.state + 0 = 1
    RETURNING k.number, c.account_id, c.operation_id, c.first, c.parts, c.attempt, k.packed
  ), kept AS (
    INSERT INTO chunk_result (account_id, operation_id, first, part, attempt, packed)
    SELECT account_id, operation_id, first, parts, attempt, packed FROM ended WHERE packed IS NOT NULL
  )
  SELECT array_agg(number ORDER BY number) INTO done FROM ended;
  UPDATE operation o
     SET status = CASE WHEN o.recipients = (SELECT sum(c.canceled) FROM chunk c
                                             WHERE c.account_id = o.account_id AND c.operation_id = o.id)
                       THEN 'CANCELED' ELSE 'COMPLETED' END,
         finished = p_at[d.number], updated = greatest(o.updated, p_at[d.number])
    FROM unnest(done) d (number)
   WHERE lasts[d.number] AND o.account_id = p_accounts[d.number] AND o.id = p_operations[d.number]
     AND o.finished IS NULL;
  FOREACH place IN ARRAY coalesce(done, '{}') LOOP
    outcomes[place] := 1;
  END LOOP;
  RETURN outcomes;
END $$;
