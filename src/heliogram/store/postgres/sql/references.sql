-- name: take_chunk
-- Hands a chunk to whoever came with a reference to it: as that attempt if nobody has had it, else as the next.
UPDATE chunk
   SET state = 1, attempt = attempt + CASE WHEN state = 0 OR worker <> :road THEN 1 ELSE 0 END, due = :until,
       claimed = :now, worker = :worker, held = NULL, starts = 0
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND attempt = :attempt AND state < 2
   AND (state = 1 AND worker = :road OR due <= :now)
RETURNING lane, shard, flow, attempt, parts;

-- name: taken_chunk
-- What is in a chunk, and whether its operation was asked to stop.
SELECT r.packed, o.spec, o.created, o.send_at, o.canceled
  FROM operation o
  JOIN chunk_recipients r ON r.account_id = o.account_id AND r.operation_id = o.id AND r.first = :first
 WHERE o.account_id = :account AND o.id = :operation;

-- name: parts
-- What was recorded of a chunk, in the order it was.
SELECT packed FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first ORDER BY part;

-- name: recall
-- What is on the road in a shard falls due.
UPDATE chunk SET due = least(due, :now)
 WHERE lane = :lane AND shard = :shard AND state < 2 AND state = 1 AND worker = :road;
