-- name: accept
-- Sends of one account and lane with all their chunks.
SELECT outcomes, waiting, ended, account_waiting, account_ended, alone FROM accept_sends(
  :account, :lane, :most, :near, :account_most, :account_near, :alone, :loud,
  :ids, :apps, :specs, :recipients, :statuses, :created, :updated, :send_at, :send_at_text, :tags,
  :shards, :flows, :states, :due, :attempts, :workers, :claimed, :starts,
  :of, :firsts, :sizes, :packed, :prints);

-- name: is_there
-- Whether there is an operation.
SELECT 1 FROM operation WHERE account_id = :account AND id = :operation;

-- name: append
-- A result part.
SELECT append_part(:account, :operation, :first, :attempt, :sent, :failed, :unaddressable, :packed, :at);

-- name: finish
-- A chunk is done.
SELECT finish_chunk(:account, :operation, :first, :attempt, :at, :sent, :failed, :unaddressable, :packed, :part_at);

-- name: finish_several
-- Chunks are done, in the order of their keys.
SELECT unnest(finish_chunks(:account, :operation, :first, :attempt, :at, :sent, :failed, :unaddressable, :packed,
                            :part_at));

-- name: release
-- A chunk is given back.
SELECT release_chunk(:account, :operation, :first, :attempt, :due, :held, :parts);

-- name: lock_operation
-- Whoever ends or gives back a chunk of it, or cancels of it, waits from here on.
SELECT 1 FROM operation WHERE account_id = :account AND id = :operation FOR NO KEY UPDATE;

-- name: extend
-- Keeps leases alive. The sum keeps the planner from reading all that is not done, where few chunks were when it planned.
UPDATE chunk c SET due = :until
  FROM unnest(:accounts::bytea[], :operations::bytea[], :firsts::integer[], :attempts::integer[])
       k (account, operation, first, attempt)
 WHERE c.account_id = k.account AND c.operation_id = k.operation AND c.first = k.first AND c.attempt = k.attempt
   AND c.state + 0 = 1;

-- name: flows
-- The queues of a shard with something due, or with something that is to begin by itself: at most so many of each kind,
-- with their accounts' weights.
WITH RECURSIVE due (flow) AS (
  (SELECT flow FROM chunk WHERE lane = :lane AND shard = :shard AND state < 2 ORDER BY flow LIMIT 1)
   UNION ALL
  SELECT n.flow
    FROM due, LATERAL (SELECT flow FROM chunk
                        WHERE lane = :lane AND shard = :shard AND state < 2 AND flow > due.flow
                        ORDER BY flow LIMIT 1) n
), starting (flow) AS (
  (SELECT flow FROM chunk WHERE lane = :lane AND shard = :shard AND state < 2 AND starts = 1 ORDER BY flow LIMIT 1)
   UNION ALL
  SELECT n.flow
    FROM starting, LATERAL (SELECT flow FROM chunk
                             WHERE lane = :lane AND shard = :shard AND state < 2 AND starts = 1 AND flow > starting.flow
                             ORDER BY flow LIMIT 1) n
), found (starts, flow) AS (
  (SELECT false, flow FROM due
    WHERE (SELECT d.due FROM chunk d
            WHERE d.lane = :lane AND d.shard = :shard AND d.state < 2 AND d.flow = due.flow
            ORDER BY d.due LIMIT 1) <= :now
    LIMIT :limit)
   UNION ALL
  (SELECT true, flow FROM starting
    WHERE (SELECT d.due FROM chunk d
            WHERE d.lane = :lane AND d.shard = :shard AND d.state < 2 AND d.starts = 1 AND d.flow = starting.flow
            ORDER BY d.due LIMIT 1) <= :now
    LIMIT :limit)
)
SELECT f.starts, f.flow, coalesce((a.limits::jsonb ->> 'weight')::bigint, 1)
  FROM found f LEFT JOIN LATERAL (SELECT limits FROM account WHERE id = substring(f.flow for 16) LIMIT 1) a ON true;

-- name: next_of_several
-- When the next chunk of each of these shards falls due or its lease expires, after a moment each.
SELECT (
  WITH RECURSIVE turn (flow) AS (
    (SELECT flow FROM chunk WHERE lane = k.lane AND shard = k.shard AND state < 2 ORDER BY flow LIMIT 1)
     UNION ALL
    SELECT n.flow
      FROM turn, LATERAL (SELECT flow FROM chunk
                           WHERE lane = k.lane AND shard = k.shard AND state < 2 AND flow > turn.flow
                           ORDER BY flow LIMIT 1) n
  )
  SELECT min((SELECT due FROM chunk
               WHERE lane = k.lane AND shard = k.shard AND flow = turn.flow AND state < 2 AND due > k.after
               ORDER BY due LIMIT 1))
    FROM turn
)
  FROM unnest(:lanes::integer[], :shards::integer[], :afters::bigint[]) WITH ORDINALITY k (lane, shard, after, number)
 ORDER BY k.number;

-- name: take
-- Hands chunks to a worker, which this transaction has locked; the attempts fence off whoever had them before.
UPDATE chunk c
   SET state = 1, attempt = c.attempt + 1, due = :until, claimed = :now, worker = :worker, held = NULL, starts = 0
  FROM unnest(:accounts::bytea[], :operations::bytea[], :firsts::integer[]) k (account, operation, first)
 WHERE c.account_id = k.account AND c.operation_id = k.operation AND c.first = k.first;

-- name: parts_of
-- What was recorded of chunks, in the order it was.
SELECT r.account_id, r.operation_id, r.first, r.packed
  FROM unnest(:accounts::bytea[], :operations::bytea[], :firsts::integer[]) k (account, operation, first)
  JOIN chunk_result r ON r.account_id = k.account AND r.operation_id = k.operation AND r.first = k.first
 ORDER BY r.account_id, r.operation_id, r.first, r.part;

-- name: chunks_after
-- Chunks of the newest operations first, within one from its first recipient on, behind a place; without a status
-- those of an operation that is being removed.
SELECT c.operation_id, c.first, c.size, c.sent, c.failed + c.unaddressable, c.canceled, o.status, o.tags
  FROM (SELECT account_id, operation_id, first, size, sent, failed, unaddressable, canceled FROM chunk
         WHERE account_id = :account AND operation_id >= :low AND operation_id <= :high
           AND (operation_id < :high OR first > :first)
         ORDER BY operation_id DESC, first LIMIT :limit) c
  LEFT JOIN operation o ON o.account_id = c.account_id AND o.id = c.operation_id
 ORDER BY c.operation_id DESC, c.first;

-- name: shift_own_leases
-- This node's clock was set: the leases it gave last as long as they were to.
UPDATE chunk SET due = due + :step WHERE state < 2 AND state = 1 AND worker = ANY(:workers::text[]);

-- name: load
-- Hands chunks to whoever came with references to them: as that attempt what nobody has had, else as the next. The sum
-- is for the same as in `extend`.
WITH taken AS (
  UPDATE chunk c
     SET state = 1, attempt = c.attempt + CASE WHEN c.state = 0 OR c.worker <> :road THEN 1 ELSE 0 END, due = :until,
         claimed = :now, worker = :worker, held = NULL, starts = 0
    FROM unnest(:accounts::bytea[], :operations::bytea[], :firsts::integer[], :attempts::integer[])
         k (account, operation, first, attempt)
   WHERE c.account_id = k.account AND c.operation_id = k.operation AND c.first = k.first AND c.attempt = k.attempt
     AND c.state + 0 < 2 AND (c.state = 1 AND c.worker = :road OR c.due <= :now)
  RETURNING c.account_id, c.operation_id, c.first, c.lane, c.shard, c.flow, c.attempt, c.parts
)
SELECT t.account_id, t.operation_id, t.first, t.lane, t.shard, t.flow, t.attempt, t.parts,
       r.packed, o.spec, o.created, o.send_at, o.canceled
  FROM taken t
  CROSS JOIN LATERAL (SELECT packed FROM chunk_recipients
                       WHERE account_id = t.account_id AND operation_id = t.operation_id AND first = t.first LIMIT 1) r
  CROSS JOIN LATERAL (SELECT spec, created, send_at, canceled FROM operation
                       WHERE account_id = t.account_id AND id = t.operation_id LIMIT 1) o;
