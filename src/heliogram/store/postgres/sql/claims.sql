-- name: due_step
-- The next queue of a shard between two places, and whether something of it is due.
SELECT s.flow, (SELECT d.due FROM chunk d
                 WHERE d.lane = :lane AND d.shard = :shard AND d.state < 2 AND d.flow = s.flow
                 ORDER BY d.due LIMIT 1) <= :now
  FROM (SELECT flow FROM chunk
         WHERE lane = :lane AND shard = :shard AND state < 2 AND flow > :after AND flow < :below
         ORDER BY flow LIMIT 1) s;

-- name: starting_step
-- The same for first chunks of scheduled operations.
SELECT s.flow, (SELECT d.due FROM chunk d
                 WHERE d.lane = :lane AND d.shard = :shard AND d.state < 2 AND d.starts = 1 AND d.flow = s.flow
                 ORDER BY d.due LIMIT 1) <= :now
  FROM (SELECT flow FROM chunk
         WHERE lane = :lane AND shard = :shard AND state < 2 AND starts = 1 AND flow > :after AND flow < :below
         ORDER BY flow LIMIT 1) s;

-- name: due_flows
-- The queues between two places with something due in a shard: the index is asked for one after another.
WITH RECURSIVE turn (flow) AS (
  (SELECT flow FROM chunk
    WHERE lane = :lane AND shard = :shard AND state < 2 AND flow > :after ORDER BY flow LIMIT 1)
   UNION ALL
  SELECT n.flow
    FROM turn, LATERAL (SELECT flow FROM chunk
                         WHERE lane = :lane AND shard = :shard AND state < 2 AND flow > turn.flow
                         ORDER BY flow LIMIT 1) n
   WHERE turn.flow < :below
)
SELECT flow FROM turn
 WHERE flow < :below
   AND (SELECT d.due FROM chunk d
         WHERE d.lane = :lane AND d.shard = :shard AND d.state < 2 AND d.flow = turn.flow
         ORDER BY d.due LIMIT 1) <= :now
 LIMIT :limit;

-- name: starting_flows
-- The same for first chunks of scheduled operations.
WITH RECURSIVE turn (flow) AS (
  (SELECT flow FROM chunk
    WHERE lane = :lane AND shard = :shard AND state < 2 AND starts = 1 AND flow > :after ORDER BY flow LIMIT 1)
   UNION ALL
  SELECT n.flow
    FROM turn, LATERAL (SELECT flow FROM chunk
                         WHERE lane = :lane AND shard = :shard AND state < 2 AND starts = 1 AND flow > turn.flow
                         ORDER BY flow LIMIT 1) n
   WHERE turn.flow < :below
)
SELECT flow FROM turn
 WHERE flow < :below
   AND (SELECT d.due FROM chunk d
         WHERE d.lane = :lane AND d.shard = :shard AND d.state < 2 AND d.starts = 1 AND d.flow = turn.flow
         ORDER BY d.due LIMIT 1) <= :now
 LIMIT :limit;

-- name: due_chunks
-- What is due of a queue in one shard, the longest due first: not done, and neither leased nor its lease still good, and
-- not what another node is just taking. Each LATERAL has a LIMIT so that it is looked up by its key, whatever the
-- planner thinks of how many there are.
SELECT c.account_id, c.operation_id, c.first, c.attempt, c.parts, r.packed, o.spec, o.created, o.send_at,
       o.status, o.canceled, c.size
  FROM (SELECT account_id, operation_id, first, attempt, parts, size, due FROM chunk
         WHERE lane = :lane AND shard = :shard AND flow = :flow AND state < 2 AND due <= :now
         ORDER BY due, operation_id, first LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED) c
  CROSS JOIN LATERAL (SELECT packed FROM chunk_recipients
                       WHERE account_id = c.account_id AND operation_id = c.operation_id AND first = c.first LIMIT 1) r
  CROSS JOIN LATERAL (SELECT spec, created, send_at, status, canceled FROM operation
                       WHERE account_id = c.account_id AND id = c.operation_id LIMIT 1) o
 ORDER BY c.due, c.operation_id, c.first;

-- name: starting_chunks
-- The first chunks of scheduled operations whose time has come: they begin whatever is queued in front of them.
SELECT c.account_id, c.operation_id, c.first, c.attempt, c.parts, r.packed, o.spec, o.created, o.send_at,
       o.status, o.canceled, c.size
  FROM (SELECT account_id, operation_id, first, attempt, parts, size, due FROM chunk
         WHERE lane = :lane AND shard = :shard AND flow = :flow AND state < 2 AND starts = 1 AND due <= :now
         ORDER BY due, operation_id, first LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED) c
  CROSS JOIN LATERAL (SELECT packed FROM chunk_recipients
                       WHERE account_id = c.account_id AND operation_id = c.operation_id AND first = c.first LIMIT 1) r
  CROSS JOIN LATERAL (SELECT spec, created, send_at, status, canceled FROM operation
                       WHERE account_id = c.account_id AND id = c.operation_id LIMIT 1) o
 ORDER BY c.due, c.operation_id, c.first;

-- name: claim_chunk
-- Hands a chunk to a worker; the attempt fences off whoever had it before.
UPDATE chunk SET state = 1, attempt = attempt + 1, due = :until, claimed = :now, worker = :worker, held = NULL, starts = 0
 WHERE account_id = :account AND operation_id = :operation AND first = :first;

-- name: begin_operation
-- A scheduled operation has begun. Whoever has it locked is beginning or canceling it: nobody waits for that here, with
-- chunks in hand.
UPDATE operation SET status = 'PROCESSING', updated = greatest(updated, :now)
 WHERE (account_id, id) IN (SELECT account_id, id FROM operation
                             WHERE account_id = :account AND id = :operation AND status = 'SCHEDULED'
                               FOR NO KEY UPDATE SKIP LOCKED);

-- name: parts
-- What was recorded of a chunk, in the order it was.
SELECT packed FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first ORDER BY part;

-- name: weight_of
-- How many chunks an account has in its turn.
SELECT coalesce((limits::jsonb ->> 'weight')::bigint, 1) FROM account WHERE id = :account;
