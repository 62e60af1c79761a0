-- name: next_due
-- When the next chunk of a shard falls due or its lease expires, after a moment.
WITH RECURSIVE turn (flow) AS (
  (SELECT flow FROM chunk WHERE lane = :lane AND shard = :shard AND state < 2 ORDER BY flow LIMIT 1)
   UNION ALL
  SELECT n.flow
    FROM turn, LATERAL (SELECT flow FROM chunk
                         WHERE lane = :lane AND shard = :shard AND state < 2 AND flow > turn.flow
                         ORDER BY flow LIMIT 1) n
)
SELECT min((SELECT due FROM chunk
             WHERE lane = :lane AND shard = :shard AND flow = turn.flow AND state < 2 AND due > :after
             ORDER BY due LIMIT 1))
  FROM turn;

-- name: extend_lease
-- Keeps a lease alive.
UPDATE chunk SET due = :until
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state = 1;

-- name: count_part
-- The chunk's counters with one more part, and that part's number. Those canceled are counted where that is done.
UPDATE chunk
   SET parts = parts + 1, sent = :sent, failed = :failed, unaddressable = :unaddressable,
       updated = greatest(updated, :at)
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state = 1
RETURNING parts;

-- name: insert_part
-- A result part.
INSERT INTO chunk_result (account_id, operation_id, first, part, attempt, packed)
VALUES (:account, :operation, :first, :part, :attempt, :packed);

-- name: finish_chunk
-- The chunk is done.
UPDATE chunk SET state = 2, due = :at, updated = greatest(updated, :at)
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state = 1;

-- name: stopped
-- Whether the operation of a chunk that this attempt holds was asked to stop.
SELECT 1 FROM chunk c JOIN operation o ON o.account_id = c.account_id AND o.id = c.operation_id
 WHERE c.account_id = :account AND c.operation_id = :operation AND c.first = :first AND c.attempt = :attempt
   AND c.state = 1 AND o.canceled IS NOT NULL;

-- name: release_chunk
-- Gives a chunk back until it falls due, or until the credential it waits for works again.
UPDATE chunk SET state = 0, due = :due, worker = '', held = :held
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state = 1;

-- name: release_all
-- Gives every leased chunk back at once: what a crash of the store's only user left behind.
UPDATE chunk SET state = 0, due = :now, worker = '' WHERE state < 2 AND state = 1;

-- name: let_go
-- Some of the chunks that wait for a credential fall due.
UPDATE chunk SET due = least(due, :now), held = NULL
 WHERE (account_id, operation_id, first) IN
       (SELECT account_id, operation_id, first FROM chunk
         WHERE account_id = :account AND held = :credential AND state = 0 LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED);

-- name: let_all_go
-- Every chunk that waits for a credential falls due: after a start nobody knows yet which of them work.
UPDATE chunk SET due = least(due, :now), held = NULL WHERE held IS NOT NULL AND state = 0;

-- name: count_held
-- How many recipients wait for a credential.
SELECT coalesce(sum(size - sent - failed - unaddressable - canceled), 0) FROM chunk
 WHERE account_id = :account AND held = :credential AND state = 0;
