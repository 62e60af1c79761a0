-- name: count_webhooks
-- How many an account has.
SELECT count(*) FROM webhook WHERE account_id = :account;

-- name: insert_webhook
-- A new webhook, told what happens from now on.
INSERT INTO webhook (account_id, id, url, types, description, sealed, state, disabled_reason, event_cursor,
                     result_cursor, result_offset, failures, held_until, skipped, last_error, created, updated)
VALUES (:account, :webhook, :url, :types, :description, :sealed, :state, '', :event, :result, 0, 0, 0, 0, '',
        :created, :updated);

-- name: heads
-- A place among events and one among result parts behind all there were, and before all there will be.
SELECT next_number(), next_number();

-- name: get_webhook
-- A webhook.
SELECT account_id, id, url, types, description, state, disabled_reason, created, updated, last_success, last_error,
       last_error_at, skipped
  FROM webhook WHERE account_id = :account AND id = :webhook;

-- name: list_webhooks
-- An account's webhooks, newest first.
SELECT account_id, id, url, types, description, state, disabled_reason, created, updated, last_success, last_error,
       last_error_at, skipped
  FROM webhook
 WHERE account_id = :account AND id >= :low AND id < :before
 ORDER BY id DESC LIMIT :limit;

-- name: update_webhook
-- What its owner says of it.
UPDATE webhook
   SET url = :url, types = :types, description = :description, state = :state, disabled_reason = :disabled_reason,
       updated = :at
 WHERE account_id = :account AND id = :webhook;

-- name: skip_events
-- It is not told the events up to now.
UPDATE webhook SET event_cursor = :event WHERE account_id = :account AND id = :webhook;

-- name: skip_results
-- It is not told what became of notifications up to now.
UPDATE webhook SET result_cursor = :result, result_offset = 0 WHERE account_id = :account AND id = :webhook;

-- name: delete_batches
-- All that waits for a webhook.
DELETE FROM webhook_batch WHERE account_id = :account AND webhook_id = :webhook;

-- name: delete_webhook
-- Removes a webhook.
DELETE FROM webhook WHERE account_id = :account AND id = :webhook;

-- name: get_secrets
-- Its secrets, sealed.
SELECT sealed FROM webhook WHERE account_id = :account AND id = :webhook;

-- name: set_secrets
-- Other secrets.
UPDATE webhook SET sealed = :sealed WHERE account_id = :account AND id = :webhook AND sealed = :was;

-- name: count_waiting
-- Events and result parts it was not told of, up to 10,000 each.
SELECT (SELECT count(*) FROM (SELECT 1 FROM event e WHERE e.account_id = w.account_id AND e.sequence > w.event_cursor
                               LIMIT 10000) found),
       (SELECT count(*) FROM (SELECT 1 FROM chunk_result r
                               WHERE r.account_id = w.account_id AND r.sequence > w.result_cursor LIMIT 10000) found),
       w.types, w.held_until
  FROM webhook w WHERE w.account_id = :account AND w.id = :webhook;

-- name: count_kept
-- Batches that wait to be tried again, and when the first of them is due.
SELECT count(*), min(due) FROM webhook_batch
 WHERE account_id = :account AND webhook_id = :webhook AND due > -1;

-- name: count_dead
-- Batches that are not tried any more.
SELECT count(*) FROM webhook_batch WHERE account_id = :account AND webhook_id = :webhook AND due IS NULL;

-- name: list_dead
-- Dead letters, newest first.
SELECT id, events, attempts, error, created, updated, body FROM webhook_batch
 WHERE account_id = :account AND webhook_id = :webhook AND due IS NULL AND id < :before
 ORDER BY id DESC LIMIT :limit;

-- name: redeliver_all
-- Every dead letter of a webhook is due now.
UPDATE webhook_batch SET due = :at, created = :at, attempts = 0, updated = :at
 WHERE account_id = :account AND webhook_id = :webhook AND due IS NULL;

-- name: redeliver_one
-- One dead letter is due now.
UPDATE webhook_batch SET due = :at, created = :at, attempts = 0, updated = :at
 WHERE account_id = :account AND webhook_id = :webhook AND id = :batch AND due IS NULL;

-- name: hold_no_more
-- What was held back is due now.
UPDATE webhook SET failures = 0, held_until = 0 WHERE account_id = :account AND id = :webhook;

-- name: work
-- The active webhooks, with what may wait for each.
SELECT w.account_id, w.id, w.url, w.types, w.description, w.state, w.disabled_reason, w.created, w.updated,
       w.last_success, w.last_error, w.last_error_at, w.skipped,
       w.sealed, w.event_cursor, w.result_cursor, w.result_offset, w.failures, w.held_until,
       (SELECT count(*) FROM webhook_batch b
         WHERE b.account_id = w.account_id AND b.webhook_id = w.id AND b.due > -1),
       (SELECT min(due) FROM webhook_batch b
         WHERE b.account_id = w.account_id AND b.webhook_id = w.id AND b.due > -1),
       EXISTS (SELECT 1 FROM event e
               WHERE e.account_id = w.account_id AND e.sequence > w.event_cursor AND e.sequence < s.below),
       EXISTS (SELECT 1 FROM chunk_result r
               WHERE r.account_id = w.account_id AND r.sequence > w.result_cursor AND r.sequence < s.below)
  FROM webhook w, settled_below() s (below) WHERE w.state = 'active';

-- name: work_of
-- The same of one webhook.
SELECT w.account_id, w.id, w.url, w.types, w.description, w.state, w.disabled_reason, w.created, w.updated,
       w.last_success, w.last_error, w.last_error_at, w.skipped,
       w.sealed, w.event_cursor, w.result_cursor, w.result_offset, w.failures, w.held_until,
       (SELECT count(*) FROM webhook_batch b
         WHERE b.account_id = w.account_id AND b.webhook_id = w.id AND b.due > -1),
       (SELECT min(due) FROM webhook_batch b
         WHERE b.account_id = w.account_id AND b.webhook_id = w.id AND b.due > -1),
       EXISTS (SELECT 1 FROM event e
               WHERE e.account_id = w.account_id AND e.sequence > w.event_cursor AND e.sequence < s.below),
       EXISTS (SELECT 1 FROM chunk_result r
               WHERE r.account_id = w.account_id AND r.sequence > w.result_cursor AND r.sequence < s.below)
  FROM webhook w, settled_below() s (below) WHERE w.account_id = :account AND w.id = :webhook AND w.state = 'active';

-- name: events_after
-- What happened next: nothing that something may still be committed before.
SELECT sequence, id, type, at, data FROM event
 WHERE account_id = :account AND sequence > :after AND sequence < settled_below() ORDER BY sequence LIMIT :limit;

-- name: last_event
-- The last event of an account.
SELECT max(sequence) FROM event WHERE account_id = :account AND sequence > :after AND sequence < settled_below();

-- name: last_part
-- The last result part of an account.
SELECT max(sequence) FROM chunk_result
 WHERE account_id = :account AND sequence > :after AND sequence < settled_below();

-- name: parts_after
-- The result parts that came next.
SELECT sequence, operation_id, first, part FROM chunk_result
 WHERE account_id = :account AND sequence > :after AND sequence < settled_below() ORDER BY sequence LIMIT :limit;

-- name: parts_up_to
-- A chunk's parts in the order they were written, up to one of them.
SELECT sequence, packed FROM chunk_result
 WHERE account_id = :account AND operation_id = :operation AND first = :first AND part <= :part ORDER BY part;

-- name: chunk_told
-- What a chunk's notifications are told with.
SELECT r.packed, o.spec, o.tags
  FROM chunk_recipients r
  JOIN operation o ON o.account_id = r.account_id AND o.id = r.operation_id
 WHERE r.account_id = :account AND r.operation_id = :operation AND r.first = :first;

-- name: first_due
-- The batch that falls due first.
SELECT id, body, events, created, attempts FROM webhook_batch
 WHERE account_id = :account AND webhook_id = :webhook AND due > -1 AND due <= :now
 ORDER BY due LIMIT 1;

-- name: move_on
-- Its place, if it is still where it was.
UPDATE webhook
   SET event_cursor = :event, result_cursor = :result, result_offset = :offset, skipped = skipped + :skipped
 WHERE account_id = :account AND id = :webhook
   AND event_cursor = :was_event AND result_cursor = :was_result AND result_offset = :was_offset;

-- name: failures_of
-- How many attempts failed one after another.
SELECT failures FROM webhook WHERE account_id = :account AND id = :webhook;

-- name: succeeded
-- The receiver took something.
UPDATE webhook SET failures = 0, held_until = 0, last_success = :at WHERE account_id = :account AND id = :webhook;

-- name: all_due
-- What waits for a receiver that is back.
UPDATE webhook_batch SET due = :at
 WHERE account_id = :account AND webhook_id = :webhook AND due > -1 AND due > :at;

-- name: failed
-- The receiver did not take something.
UPDATE webhook
   SET failures = failures + 1, held_until = greatest(held_until, :held_until), last_error = :error, last_error_at = :at
 WHERE account_id = :account AND id = :webhook;

-- name: insert_batch
-- A batch that was not taken.
INSERT INTO webhook_batch (account_id, webhook_id, id, body, events, attempts, due, error, created, updated)
VALUES (:account, :webhook, :batch, :body, :events, :attempts, :due, :error, :created, :at)
    ON CONFLICT DO NOTHING;

-- name: delete_batch
-- A batch that was taken.
DELETE FROM webhook_batch WHERE account_id = :account AND webhook_id = :webhook AND id = :batch;

-- name: put_off
-- A batch that was not taken again.
UPDATE webhook_batch SET attempts = attempts + 1, due = :due, error = :error, updated = :at
 WHERE account_id = :account AND webhook_id = :webhook AND id = :batch;

-- name: disable
-- The receiver wants no more.
UPDATE webhook SET state = 'disabled', disabled_reason = :reason, updated = :at
 WHERE account_id = :account AND id = :webhook;

-- name: all_dead
-- What waited for it is not tried any more.
UPDATE webhook_batch SET due = NULL, updated = :at
 WHERE account_id = :account AND webhook_id = :webhook AND due > -1;

-- name: dead_past
-- The dead letters past the most that are kept, the oldest of them.
SELECT id, events FROM webhook_batch
 WHERE account_id = :account AND webhook_id = :webhook AND due IS NULL
 ORDER BY id DESC OFFSET :most;

-- name: count_skipped
-- Events that were given up.
UPDATE webhook SET skipped = skipped + :skipped WHERE account_id = :account AND id = :webhook;

-- name: all_places
-- Every webhook and its place among the events.
SELECT account_id, id, state, types, event_cursor FROM webhook;

-- name: accounts_with_events
-- Who has events.
SELECT a.id FROM account a
 WHERE (SELECT 1 FROM event e WHERE e.account_id = a.id AND e.sequence > 0 LIMIT 1) IS NOT NULL;

-- name: first_fresh
-- The first event that is not past the bound of time.
SELECT sequence FROM event
 WHERE account_id = :account AND sequence > 0 AND at >= :since ORDER BY sequence LIMIT 1;

-- name: last_beyond
-- The last event that is past the bound of number.
SELECT sequence FROM event
 WHERE account_id = :account AND sequence > 0 ORDER BY sequence DESC LIMIT 1 OFFSET :most;

-- name: types_between
-- What kinds of events are given up for a webhook, and how many of each.
SELECT type, count(*) FROM event
 WHERE account_id = :account AND sequence > :after AND sequence <= :to GROUP BY type;

-- name: slice_end
-- The last of so many events that may go.
SELECT max(sequence) FROM (SELECT sequence FROM event
                            WHERE account_id = :account AND sequence > 0 AND sequence <= :to
                            ORDER BY sequence LIMIT :most) found;

-- name: delete_events
-- Events that nobody waits for any more.
DELETE FROM event WHERE account_id = :account AND sequence <= :to;

-- name: dead_by_age
-- Batches that were tried for as long as they may be.
UPDATE webhook_batch SET due = NULL, updated = :now
 WHERE account_id = :account AND webhook_id = :webhook AND due > -1 AND created <= :before;

-- name: old_dead
-- Dead letters that were kept for as long as they may be.
SELECT id, events FROM webhook_batch
 WHERE account_id = :account AND webhook_id = :webhook AND due IS NULL AND updated <= :before;

-- name: stand
-- Batches of all webhooks that are tried again, dead letters, since when the oldest of the former waits, and webhooks
-- that are told nothing.
SELECT count(due), count(*) - count(due), min(CASE WHEN due > -1 THEN created END),
       (SELECT count(*) FROM webhook WHERE state = 'disabled')
  FROM webhook_batch;

-- name: begin_test
-- A test of the webhook begins, unless another is under way.
UPDATE webhook SET tested_until = :until
 WHERE account_id = :account AND id = :webhook AND (tested_until IS NULL OR tested_until <= :now);

-- name: end_test
-- That test is over.
UPDATE webhook SET tested_until = NULL WHERE account_id = :account AND id = :webhook AND tested_until = :until;
