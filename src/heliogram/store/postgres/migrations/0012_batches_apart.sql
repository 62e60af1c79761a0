-- A batch is found by its key when it was taken or put off. A planner that knows nothing of the table yet takes an index
-- of all batches of a webhook to be as good for that, and reads all of them. So those that are tried again and dead
-- letters have an index each, which is good for what it is meant for alone. Older nodes do not mind.
DROP INDEX webhook_batch_due;
CREATE INDEX webhook_batch_due ON webhook_batch (account_id, webhook_id, due) WHERE due > -1;
CREATE INDEX webhook_batch_dead ON webhook_batch (account_id, webhook_id, id) WHERE due IS NULL;
