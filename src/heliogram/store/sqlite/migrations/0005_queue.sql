-- Which queue of its account a chunk stands in: the account's id, the app's name and, when the caller named one, a zero
-- byte and the credential's id. Queues take turns, and one that hangs can be passed over.
ALTER TABLE chunk ADD COLUMN flow BLOB NOT NULL DEFAULT x'';
-- 1 for the first chunk of a scheduled operation until it was handed out: what is to begin by itself goes first.
ALTER TABLE chunk ADD COLUMN starts INTEGER NOT NULL DEFAULT 0;
UPDATE chunk INDEXED BY chunk_due
   SET flow = unhex(hex(account_id) || coalesce((SELECT hex(app_name) FROM operation o
                                                  WHERE o.account_id = chunk.account_id AND o.id = chunk.operation_id),
                                                '')),
       starts = first = 0 AND state = 0 AND EXISTS (SELECT 1 FROM operation o
                                                     WHERE o.account_id = chunk.account_id
                                                       AND o.id = chunk.operation_id AND o.status = 'SCHEDULED')
 WHERE state < 2;
DROP INDEX chunk_due;
CREATE INDEX chunk_due ON chunk (lane, shard, flow, due) WHERE state < 2;
CREATE INDEX chunk_starting ON chunk (lane, shard, flow, due) WHERE state < 2 AND starts = 1;
DROP INDEX operation_scheduled;

-- How many recipients of an account were accepted and have not ended, and how many have ended since counting began. The
-- row without an account counts all of them. Kept by the triggers below, so that no statement can forget it.
CREATE TABLE queue_depth (
  account_id BLOB NOT NULL,
  waiting INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  PRIMARY KEY (account_id)
) STRICT, WITHOUT ROWID;
INSERT INTO queue_depth (account_id, waiting, ended)
  SELECT a.id, coalesce(c.waiting, 0), 0
    FROM account a
    LEFT JOIN (SELECT account_id, sum(size - sent - failed - unaddressable - canceled) AS waiting
                 FROM chunk WHERE state < 2 GROUP BY account_id) c ON c.account_id = a.id;
INSERT INTO queue_depth (account_id, waiting, ended)
  SELECT x'', coalesce(sum(waiting), 0), 0 FROM queue_depth;

CREATE TRIGGER account_made AFTER INSERT ON account BEGIN
  INSERT INTO queue_depth (account_id, waiting, ended) VALUES (new.id, 0, 0);
END;

CREATE TRIGGER account_removed AFTER DELETE ON account BEGIN
  UPDATE queue_depth SET waiting = waiting - (SELECT waiting FROM queue_depth WHERE account_id = old.id)
   WHERE account_id = x'';
  DELETE FROM queue_depth WHERE account_id = old.id;
END;

CREATE TRIGGER chunk_accepted AFTER INSERT ON chunk WHEN new.state < 2 BEGIN
  UPDATE queue_depth
     SET waiting = waiting + new.size - new.sent - new.failed - new.unaddressable - new.canceled
   WHERE account_id IN (new.account_id, x'');
END;

-- Recipients end when an answer is counted; whatever a chunk that is done says of them, none of them waits.
CREATE TRIGGER chunk_went_on AFTER UPDATE OF state, size, sent, failed, unaddressable, canceled ON chunk
WHEN (new.state < 2) * (new.size - new.sent - new.failed - new.unaddressable - new.canceled)
  <> (old.state < 2) * (old.size - old.sent - old.failed - old.unaddressable - old.canceled)
BEGIN
  UPDATE queue_depth
     SET waiting = waiting
             + (new.state < 2) * (new.size - new.sent - new.failed - new.unaddressable - new.canceled)
             - (old.state < 2) * (old.size - old.sent - old.failed - old.unaddressable - old.canceled),
         ended = ended
             - (new.state < 2) * (new.size - new.sent - new.failed - new.unaddressable - new.canceled)
             + (old.state < 2) * (old.size - old.sent - old.failed - old.unaddressable - old.canceled)
   WHERE account_id IN (new.account_id, x'');
END;

CREATE TRIGGER chunk_removed AFTER DELETE ON chunk WHEN old.state < 2 BEGIN
  UPDATE queue_depth
     SET waiting = waiting - old.size + old.sent + old.failed + old.unaddressable + old.canceled
   WHERE account_id IN (old.account_id, x'');
END;
