-- What `heliogram check --repair` puts right.

-- name: chunks_astray
-- Chunks of no operation, but for those that are being removed, and how many of their recipients had not ended.
SELECT c.account_id, c.operation_id, c.first,
       CASE WHEN c.state < 2 THEN c.size - c.sent - c.failed - c.unaddressable - c.canceled ELSE 0 END
  FROM chunk c
 WHERE NOT EXISTS (SELECT 1 FROM operation o WHERE o.account_id = c.account_id AND o.id = c.operation_id)
   AND NOT EXISTS (SELECT 1 FROM leaving l WHERE l.account_id = c.account_id AND l.operation_id = c.operation_id)
   AND NOT EXISTS (SELECT 1 FROM going g WHERE c.operation_id >= g.low AND c.operation_id < g.high)
 LIMIT :limit;

-- name: recipients_astray
-- Recipients of no chunk, and of no operation.
SELECT r.account_id, r.operation_id, r.first, 0
  FROM chunk_recipients r
 WHERE NOT EXISTS (SELECT 1 FROM chunk c
                    WHERE c.account_id = r.account_id AND c.operation_id = r.operation_id AND c.first = r.first)
   AND NOT EXISTS (SELECT 1 FROM operation o WHERE o.account_id = r.account_id AND o.id = r.operation_id)
 LIMIT :limit;

-- name: results_astray
-- Result parts of no chunk, and of no operation.
SELECT DISTINCT r.account_id, r.operation_id, r.first, 0
  FROM chunk_result r
 WHERE NOT EXISTS (SELECT 1 FROM chunk c
                    WHERE c.account_id = r.account_id AND c.operation_id = r.operation_id AND c.first = r.first)
   AND NOT EXISTS (SELECT 1 FROM operation o WHERE o.account_id = r.account_id AND o.id = r.operation_id)
 LIMIT :limit;

-- name: fingerprints_astray
-- Fingerprints of no chunk, and of no operation.
SELECT u.account_id, u.operation_id, u.first, 0
  FROM chunk_user u
 WHERE NOT EXISTS (SELECT 1 FROM chunk c
                    WHERE c.account_id = u.account_id AND c.operation_id = u.operation_id AND c.first = u.first)
   AND NOT EXISTS (SELECT 1 FROM operation o WHERE o.account_id = u.account_id AND o.id = u.operation_id)
 LIMIT :limit;

-- name: delete_chunk
-- A chunk, if its operation is still not there.
DELETE FROM chunk
 WHERE account_id = :account AND operation_id = :operation AND first = :first
   AND NOT EXISTS (SELECT 1 FROM operation WHERE account_id = :account AND id = :operation);

-- name: delete_recipients
-- The recipients of a chunk, if neither it nor its operation is there.
DELETE FROM chunk_recipients
 WHERE account_id = :account AND operation_id = :operation AND first = :first
   AND NOT EXISTS (SELECT 1 FROM chunk
                    WHERE account_id = :account AND operation_id = :operation AND first = :first)
   AND NOT EXISTS (SELECT 1 FROM operation WHERE account_id = :account AND id = :operation);

-- name: delete_results
-- The result parts of a chunk, if neither it nor its operation is there.
DELETE FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first
   AND NOT EXISTS (SELECT 1 FROM chunk
                    WHERE account_id = :account AND operation_id = :operation AND first = :first)
   AND NOT EXISTS (SELECT 1 FROM operation WHERE account_id = :account AND id = :operation);

-- name: delete_fingerprints
-- The fingerprints of a chunk, if neither it nor its operation is there.
DELETE FROM chunk_user
 WHERE account_id = :account AND operation_id = :operation AND first = :first
   AND NOT EXISTS (SELECT 1 FROM chunk
                    WHERE account_id = :account AND operation_id = :operation AND first = :first)
   AND NOT EXISTS (SELECT 1 FROM operation WHERE account_id = :account AND id = :operation);

-- name: delete_answers
-- What the provider said last to credentials that are not there.
DELETE FROM credential_answer
 WHERE NOT EXISTS (SELECT 1 FROM credential c
                    WHERE c.account_id = credential_answer.account_id AND c.id = credential_answer.credential_id);

-- name: delete_troubles
-- The troubles of credentials that are not there.
DELETE FROM credential_trouble
 WHERE NOT EXISTS (SELECT 1 FROM credential c
                    WHERE c.account_id = credential_trouble.account_id AND c.id = credential_trouble.credential_id);

-- name: delete_batches
-- Batches for webhooks that are not there.
DELETE FROM webhook_batch
 WHERE NOT EXISTS (SELECT 1 FROM webhook w
                    WHERE w.account_id = webhook_batch.account_id AND w.id = webhook_batch.webhook_id);

-- name: put_webhooks_back
-- Webhooks that were told more than there ever was go on with what comes now.
UPDATE webhook
   SET event_cursor = least(event_cursor, settled_below() - 1),
       result_cursor = least(result_cursor, settled_below() - 1), result_offset = 0
 WHERE greatest(event_cursor, result_cursor)
     > (SELECT (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + base) << 20 FROM numbering)
RETURNING account_id, id;

-- name: chunk_now
-- A chunk, which nobody changes meanwhile.
SELECT size, state, parts, sent, failed, unaddressable, canceled
  FROM chunk WHERE account_id = :account AND operation_id = :operation AND first = :first FOR UPDATE;

-- name: set_chunk
-- What a chunk's results say.
UPDATE chunk SET parts = :parts, sent = :sent, failed = :failed, unaddressable = :unaddressable, canceled = :canceled
 WHERE account_id = :account AND operation_id = :operation AND first = :first;

-- name: operation_now
-- An operation, which nobody changes meanwhile.
SELECT recipients, status, finished, updated FROM operation WHERE account_id = :account AND id = :operation FOR UPDATE;

-- name: chunks_now
-- Its chunks, and whether they have recipients.
SELECT c.first, c.size, c.state, c.canceled, c.updated,
       EXISTS (SELECT 1 FROM chunk_recipients r
                WHERE r.account_id = c.account_id AND r.operation_id = c.operation_id AND r.first = c.first)
  FROM chunk c WHERE c.account_id = :account AND c.operation_id = :operation ORDER BY c.first;

-- name: set_operation
-- What its chunks say.
UPDATE operation SET recipients = :recipients, status = :status, finished = :finished
 WHERE account_id = :account AND id = :operation;

-- name: registration_now
-- A registration's free slots, which nobody changes meanwhile.
SELECT free_slots FROM registration WHERE account_id = :account AND id = :registration FOR UPDATE;

-- name: slots_taken
-- The slots that its devices have.
SELECT slot FROM device WHERE account_id = :account AND registration_id = :registration ORDER BY slot;

-- name: set_free_slots
-- The slots that no device has.
UPDATE registration SET free_slots = :free WHERE account_id = :account AND id = :registration;

-- name: delete_registration
-- A registration without devices.
DELETE FROM registration
 WHERE account_id = :account AND id = :registration
   AND NOT EXISTS (SELECT 1 FROM device WHERE account_id = :account AND registration_id = :registration);

-- name: depths_wrong
-- Counts of waiting recipients that differ from their sum over the chunks: whose, what they say, and the sum.
WITH depth AS (SELECT account_id, sum(waiting)::bigint AS waiting FROM queue_depth GROUP BY account_id),
     counted AS (SELECT account_id, sum(size - sent - failed - unaddressable - canceled) AS waiting
                   FROM chunk WHERE state < 2 GROUP BY account_id)
SELECT whose, told, true_sum
  FROM (SELECT a.id AS whose, coalesce(d.waiting, 0) AS told, coalesce(c.waiting, 0)::bigint AS true_sum
          FROM account a
          LEFT JOIN depth d ON d.account_id = a.id
          LEFT JOIN counted c ON c.account_id = a.id
         UNION ALL
        SELECT ''::bytea, (SELECT coalesce(sum(waiting), 0)::bigint FROM depth WHERE account_id = ''),
               (SELECT coalesce(sum(waiting), 0)::bigint FROM counted)) both_sums
 WHERE told <> true_sum;

-- name: delete_depths
-- Counts of accounts that are not there.
DELETE FROM queue_depth
 WHERE account_id <> '' AND NOT EXISTS (SELECT 1 FROM account a WHERE a.id = queue_depth.account_id);

-- name: is_account
-- Whether there is such an account.
SELECT 1 FROM account WHERE id = :account;

-- name: delete_history
-- What happened to devices of users that are deleted, or in apps that are gone.
DELETE FROM device_history AS h
 WHERE NOT EXISTS (SELECT 1 FROM app_user u
                    WHERE u.account_id = h.account_id AND u.id = h.user_id AND u.deleted IS NULL)
    OR NOT EXISTS (SELECT 1 FROM app a WHERE a.account_id = h.account_id AND a.name = h.app_name)
RETURNING account_id;
