-- An operation is looked up by its account and id for every push. A planner that knows nothing of the table yet takes
-- an index (account_id, status, id) to be as good for that as the primary key, and reads it from end to end: in a new
-- installation that took all of the server's time until the table was first analyzed. With the status in front it is
-- good for what it is meant for alone. Older nodes do not mind; while it is made, operations can be read.
CREATE INDEX operation_of_status ON operation (status, account_id, id);
DROP INDEX operation_by_status;
ALTER INDEX operation_of_status RENAME TO operation_by_status;
