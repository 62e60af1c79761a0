-- name: next_due
-- When the next chunk of a shard falls due or its lease expires, after a moment.
WITH RECURSIVE turn (flow) AS (
  SELECT (SELECT min(flow) FROM chunk INDEXED BY chunk_due
           WHERE lane = :lane AND shard = :shard AND state < 2)
   UNION ALL
  SELECT (SELECT min(flow) FROM chunk INDEXED BY chunk_due
           WHERE lane = :lane AND shard = :shard AND state < 2 AND flow > turn.flow)
    FROM turn WHERE turn.flow IS NOT NULL
)
SELECT min((SELECT min(due) FROM chunk INDEXED BY chunk_due
             WHERE lane = :lane AND shard = :shard AND flow = turn.flow AND state < 2 AND due > :after))
  FROM turn WHERE flow IS NOT NULL;

-- name: extend_lease
-- Keeps a lease alive.
UPDATE chunk SET due = :until
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state = 1;

-- name: count_part
-- The chunk's counters with one more part, and that part's number. Those canceled are counted where that is done.
UPDATE chunk
   SET parts = parts + 1, sent = :sent, failed = :failed, unaddressable = :unaddressable, updated = max(updated, :at)
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state = 1
RETURNING parts;

-- name: insert_part
-- A result part.
INSERT INTO chunk_result (account_id, operation_id, first, part, attempt, packed)
VALUES (:account, :operation, :first, :part, :attempt, :packed);

-- name: finish_chunk
-- The chunk is done.
UPDATE chunk SET state = 2, due = :at, updated = max(updated, :at)
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state = 1;

-- name: finish_with_part
-- The chunk is done with one more part, which has this number; not if its operation was asked to stop.
UPDATE chunk
   SET parts = parts + 1, sent = :sent, failed = :failed, unaddressable = :unaddressable, state = 2, due = :ended,
       updated = max(updated, :at, :ended)
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state = 1
   AND NOT EXISTS (SELECT 1 FROM operation WHERE account_id = :account AND id = :operation AND canceled IS NOT NULL)
RETURNING parts;

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
UPDATE chunk INDEXED BY chunk_due SET state = 0, due = :now, worker = '' WHERE state < 2 AND state = 1;

-- name: let_go
-- Some of the chunks that wait for a credential fall due.
UPDATE chunk SET due = min(due, :now), held = NULL
 WHERE (account_id, operation_id, first) IN
       (SELECT account_id, operation_id, first FROM chunk INDEXED BY chunk_held
         WHERE account_id = :account AND held = :credential AND state = 0 LIMIT :limit);

-- name: let_all_go
-- Every chunk that waits for a credential falls due: after a start nobody knows yet which of them work.
UPDATE chunk INDEXED BY chunk_held SET due = min(due, :now), held = NULL WHERE held IS NOT NULL AND state = 0;

-- name: count_held
-- How many recipients wait for a credential.
SELECT coalesce(sum(size - sent - failed - unaddressable - canceled), 0) FROM chunk INDEXED BY chunk_held
 WHERE account_id = :account AND held = :credential AND state = 0;
