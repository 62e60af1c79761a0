-- name: shift_leases
-- This node's clock was set: the leases it gave last as long as they were to.
UPDATE chunk SET due = due + :step WHERE state < 2 AND state = 1;

-- name: shift_keys
-- Requests that are being handled keep their keys as long as they were to.
UPDATE idempotency SET held = held + :step WHERE status IS NULL AND held > 0;

-- name: shift_waiting
-- The clock was set back: what waits falls due when it was to, but for what is scheduled for a time on the wall.
UPDATE chunk SET due = due + :step
 WHERE state < 2 AND state = 0
   AND NOT EXISTS (SELECT 1 FROM operation o
                    WHERE o.account_id = chunk.account_id AND o.id = chunk.operation_id AND o.status = 'SCHEDULED');

-- name: shift_batches
-- So do batches that a webhook's receiver did not take.
UPDATE webhook_batch SET due = greatest(0, due + :step) WHERE due > -1;

-- name: shift_webhooks
-- And what holds back the rest of them.
UPDATE webhook SET held_until = greatest(0, held_until + :step) WHERE held_until > 0;

-- name: mend_waiting
-- The clock was set back while nobody looked: what was claimed or accepted at a time yet to come waits no longer for it.
UPDATE chunk SET due = :now
 WHERE state < 2 AND state = 0 AND due > :now AND (claimed > :now OR attempt = 0)
   AND NOT EXISTS (SELECT 1 FROM operation o
                    WHERE o.account_id = chunk.account_id AND o.id = chunk.operation_id AND o.status = 'SCHEDULED');
