-- name: starting_chunks
-- The first chunks of scheduled operations whose time has come: they begin whatever is queued in front of them.
SELECT c.account_id, c.operation_id, c.first, c.attempt, c.parts, r.packed, o.spec, o.created, o.send_at,
       o.status, o.canceled
  FROM operation o
  JOIN chunk c ON c.account_id = o.account_id AND c.operation_id = o.id AND c.first = 0
  JOIN chunk_recipients r
    ON r.account_id = c.account_id AND r.operation_id = c.operation_id AND r.first = c.first
 WHERE o.lane = :lane AND o.status = 'SCHEDULED' AND o.send_at <= :now AND c.shard = :shard AND c.state = 0
 ORDER BY o.send_at LIMIT :limit;

-- name: due_accounts
-- The accounts after one with something due in a shard: the index is asked for one account after another.
WITH RECURSIVE turn (account_id) AS (
  SELECT (SELECT min(account_id) FROM chunk INDEXED BY chunk_due
           WHERE lane = :lane AND shard = :shard AND state < 2 AND account_id > :after)
   UNION ALL
  SELECT (SELECT min(account_id) FROM chunk INDEXED BY chunk_due
           WHERE lane = :lane AND shard = :shard AND state < 2 AND account_id > turn.account_id)
    FROM turn WHERE turn.account_id IS NOT NULL
)
SELECT account_id FROM turn
 WHERE account_id IS NOT NULL
   AND EXISTS (SELECT 1 FROM chunk INDEXED BY chunk_due
                WHERE lane = :lane AND shard = :shard AND account_id = turn.account_id AND state < 2 AND due <= :now)
 LIMIT :limit;

-- name: due_chunks
-- What is due of an account in one shard, the longest due first: not done, and neither leased nor its lease still good.
SELECT c.account_id, c.operation_id, c.first, c.attempt, c.parts, r.packed, o.spec, o.created, o.send_at,
       o.status, o.canceled
  FROM (SELECT account_id, operation_id, first, attempt, parts, due FROM chunk
         WHERE lane = :lane AND shard = :shard AND account_id = :account AND state < 2 AND due <= :now
         ORDER BY due LIMIT :limit) c
  JOIN chunk_recipients r
    ON r.account_id = c.account_id AND r.operation_id = c.operation_id AND r.first = c.first
  JOIN operation o ON o.account_id = c.account_id AND o.id = c.operation_id
 ORDER BY c.due, c.operation_id, c.first;

-- name: claim_chunk
-- Hands a chunk to a worker; the attempt fences off whoever had it before.
UPDATE chunk SET state = 1, attempt = attempt + 1, due = :until, claimed = :now, worker = :worker, held = NULL
 WHERE account_id = :account AND operation_id = :operation AND first = :first;

-- name: begin_operation
-- A scheduled operation has begun.
UPDATE operation SET status = 'PROCESSING', updated = max(updated, :now)
 WHERE account_id = :account AND id = :operation AND status = 'SCHEDULED';

-- name: next_due
-- When the next chunk of a shard falls due or its lease expires.
WITH RECURSIVE turn (account_id) AS (
  SELECT (SELECT min(account_id) FROM chunk INDEXED BY chunk_due
           WHERE lane = :lane AND shard = :shard AND state < 2)
   UNION ALL
  SELECT (SELECT min(account_id) FROM chunk INDEXED BY chunk_due
           WHERE lane = :lane AND shard = :shard AND state < 2 AND account_id > turn.account_id)
    FROM turn WHERE turn.account_id IS NOT NULL
)
SELECT min((SELECT min(due) FROM chunk INDEXED BY chunk_due
             WHERE lane = :lane AND shard = :shard AND account_id = turn.account_id AND state < 2))
  FROM turn WHERE account_id IS NOT NULL;

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

-- name: parts
-- What was recorded of a chunk, in the order it was.
SELECT packed FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first ORDER BY part;

-- name: finish_chunk
-- The chunk is done.
UPDATE chunk SET state = 2, due = :at, updated = max(updated, :at)
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
