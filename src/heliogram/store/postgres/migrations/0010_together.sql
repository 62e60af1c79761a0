-- Several sends of one account in one go: their rows are inserted, counted and committed together.
--
-- A bound is never passed. Sends that are accepted at one moment do not see each other, so each holds tickets for as
-- much as it has: there are 32, together for what lies between `near` and the bound. Who sees no more than `near` with
-- its own may go beside others; all that nobody sees yet fits into the rest. Who finds no tickets, or is beyond `near`,
-- comes again and goes alone: it waits until those before it are committed, and counts then.

-- Whether there are tickets for so many recipients of a margin, which are held until the transaction ends.
CREATE FUNCTION take_tickets(p_kind integer, p_place integer, p_recipients bigint, p_margin bigint)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  worth bigint := p_margin / 32;
  wanted bigint;
BEGIN
  IF worth < 1 OR p_recipients > p_margin THEN
    RETURN false;
  END IF;
  wanted := (p_recipients + worth - 1) / worth;
  FOR number IN 0..31 LOOP
    EXIT WHEN wanted < 1 OR wanted > 32 - number;
    IF pg_try_advisory_xact_lock(p_kind, (p_place & -32) | ((pg_backend_pid() + number) & 31)) THEN
      wanted := wanted - 1;
    END IF;
  END LOOP;
  RETURN wanted < 1;
END $$;

-- Sends with all their chunks. `p_of` says which of the sends a chunk is of, from 1. For each send in its outcome: 1:
-- kept. 0: it would pass a bound. 2: a webhook may want to know, and `p_loud` says that nobody would tell it: nothing was
-- kept. 3: an operation with this id is there already. And how many waited before it, in all and of its account.
-- `alone` is 0, or how to come again (1: alone among all, 2: among those of the account): then nothing was kept.
CREATE FUNCTION accept_sends(
  p_account bytea, p_lane integer, p_most bigint, p_near bigint, p_account_most bigint, p_account_near bigint,
  p_alone integer, p_loud boolean,
  p_ids bytea[], p_apps text[], p_specs bytea[], p_recipients integer[], p_statuses text[], p_created bigint[],
  p_updated bigint[], p_send_at bigint[], p_send_at_text text[], p_tags text[],
  p_shards integer[], p_flows bytea[], p_states integer[], p_due bigint[], p_attempts integer[], p_workers text[],
  p_claimed bigint[], p_starts integer[],
  p_of integer[], p_firsts integer[], p_sizes integer[], p_packed bytea[], p_prints bytea[],
  OUT outcomes integer[], OUT waiting bigint[], OUT ended bigint, OUT account_waiting bigint[],
  OUT account_ended bigint, OUT alone integer
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  place integer := hashtext(encode(p_account, 'hex'));
  kept integer := cardinality(p_ids);
  all_of_them bigint;
  now_waiting bigint;
  now_account_waiting bigint;
  made bytea[];
BEGIN
  alone := 0;
  outcomes := array_fill(1, ARRAY[kept]);
  IF p_most IS NOT NULL THEN
    SELECT sum(r) INTO all_of_them FROM unnest(p_recipients) r;
    IF p_alone & 1 = 1 THEN
      PERFORM pg_advisory_xact_lock(1212501073, 0);
    ELSE
      PERFORM pg_advisory_xact_lock_shared(1212501073, 0);
      IF NOT take_tickets(1212501075, 0, all_of_them, p_most - p_near) THEN
        alone := 1;
      END IF;
    END IF;
    IF p_alone & 2 = 2 THEN
      PERFORM pg_advisory_xact_lock(1212501074, place);
    ELSE
      PERFORM pg_advisory_xact_lock_shared(1212501074, place);
      IF NOT take_tickets(1212501076, place, all_of_them, p_account_most - p_account_near) THEN
        alone := alone | 2;
      END IF;
    END IF;
    SELECT coalesce(sum(d.waiting) FILTER (WHERE d.account_id = ''), 0),
           coalesce(sum(d.ended) FILTER (WHERE d.account_id = ''), 0),
           coalesce(sum(d.waiting) FILTER (WHERE d.account_id <> ''), 0),
           coalesce(sum(d.ended) FILTER (WHERE d.account_id <> ''), 0)
      INTO now_waiting, ended, now_account_waiting, account_ended
      FROM queue_depth d WHERE d.account_id IN ('', p_account);
    IF p_alone & 1 = 0 AND now_waiting + all_of_them > p_near THEN
      alone := alone | 1;
    END IF;
    IF p_alone & 2 = 0 AND now_account_waiting + all_of_them > p_account_near THEN
      alone := alone | 2;
    END IF;
    FOR number IN 1..cardinality(p_ids) LOOP
      waiting[number] := now_waiting;
      account_waiting[number] := now_account_waiting;
      IF now_waiting + p_recipients[number] > p_most OR now_account_waiting + p_recipients[number] > p_account_most THEN
        outcomes[number] := 0;
        kept := kept - 1;
      ELSE
        now_waiting := now_waiting + p_recipients[number];
        now_account_waiting := now_account_waiting + p_recipients[number];
      END IF;
    END LOOP;
    IF kept = 0 THEN
      alone := 0;  -- what is being accepted besides makes it more
      RETURN;
    END IF;
    IF alone <> 0 THEN
      alone := alone | p_alone;
      RETURN;
    END IF;
  END IF;
  IF NOT p_loud AND EXISTS (SELECT 1 FROM webhook w WHERE w.account_id = p_account AND w.state <> 'disabled') THEN
    outcomes := array_replace(outcomes, 1, 2);
    RETURN;
  END IF;
  WITH inserted AS (
    INSERT INTO operation (account_id, id, app_name, spec, lane, recipients, status, created, updated,
                           send_at, send_at_text, tags)
    SELECT p_account, s.id, s.app, s.spec, p_lane, s.recipients, s.status, s.created, s.updated,
           s.send_at, s.send_at_text, s.tags
      FROM unnest(p_ids, p_apps, p_specs, p_recipients, p_statuses, p_created, p_updated, p_send_at, p_send_at_text,
                  p_tags, outcomes)
           s (id, app, spec, recipients, status, created, updated, send_at, send_at_text, tags, outcome)
     WHERE s.outcome = 1
        ON CONFLICT (account_id, id) DO NOTHING
    RETURNING id
  )
  SELECT array_agg(id) INTO made FROM inserted;
  IF coalesce(cardinality(made), 0) < kept THEN
    FOR number IN 1..cardinality(p_ids) LOOP
      IF outcomes[number] = 1 AND p_ids[number] <> ALL (coalesce(made, '{}')) THEN
        outcomes[number] := 3;
      END IF;
    END LOOP;
  END IF;
  INSERT INTO chunk (account_id, operation_id, first, size, lane, shard, state, due, attempt, worker, claimed, parts,
                     sent, failed, unaddressable, canceled, updated, flow, starts)
  SELECT p_account, p_ids[c.of], c.first, c.size, p_lane, p_shards[c.of], p_states[c.of], p_due[c.of],
         p_attempts[c.of], p_workers[c.of], p_claimed[c.of], 0,
         0, 0, 0, 0, p_updated[c.of], p_flows[c.of], CASE WHEN c.first = 0 THEN p_starts[c.of] ELSE 0 END
    FROM unnest(p_of, p_firsts, p_sizes) c (of, first, size) WHERE outcomes[c.of] = 1;
  INSERT INTO chunk_recipients (account_id, operation_id, first, packed)
  SELECT p_account, p_ids[c.of], c.first, c.packed
    FROM unnest(p_of, p_firsts, p_packed) c (of, first, packed) WHERE outcomes[c.of] = 1;
  INSERT INTO chunk_user (account_id, operation_id, first, fingerprints)
  SELECT p_account, p_ids[c.of], c.first, c.prints
    FROM unnest(p_of, p_firsts, p_prints) c (of, first, prints) WHERE outcomes[c.of] = 1 AND c.prints <> '';
END $$;

-- `more` recipients wait, and `over` have ended. The rows of all accounts come first, here and wherever else both are
-- written: whoever counts for several accounts then waits for nobody in a circle.
CREATE OR REPLACE FUNCTION count_depth(account bytea, more bigint, over bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
  INSERT INTO queue_depth AS d (account_id, slot, waiting, ended)
  VALUES ('', pg_backend_pid() % 16, more, over), (account, pg_backend_pid() % 16, more, over)
      ON CONFLICT (account_id, slot) DO UPDATE SET waiting = d.waiting + more, ended = d.ended + over
$$;
