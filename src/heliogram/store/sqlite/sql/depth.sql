-- name: depths
-- How many recipients wait and have ended, over all accounts and of one.
SELECT account_id, waiting, ended FROM queue_depth WHERE account_id IN (x'', :account) ORDER BY account_id;

-- name: recount
-- What waits of every account, from its chunks.
INSERT INTO queue_depth (account_id, waiting, ended)
SELECT a.id, coalesce(c.waiting, 0), 0
  FROM account a
  LEFT JOIN (SELECT account_id, sum(size - sent - failed - unaddressable - canceled) AS waiting
               FROM chunk INDEXED BY chunk_due WHERE state < 2 GROUP BY account_id) c ON c.account_id = a.id
 WHERE true
    ON CONFLICT (account_id) DO UPDATE SET waiting = excluded.waiting;

-- name: recount_all
-- What waits over all accounts.
INSERT INTO queue_depth (account_id, waiting, ended)
SELECT x'', coalesce(sum(waiting), 0), 0 FROM queue_depth WHERE account_id <> x''
    ON CONFLICT (account_id) DO UPDATE SET waiting = excluded.waiting;

-- name: lanes
-- What has not ended of every account and lane: due or in hand, later, and since when the first that nobody has is due.
SELECT account_id, lane,
       sum(CASE WHEN state = 1 OR due <= :now THEN size - sent - failed - unaddressable - canceled ELSE 0 END),
       sum(CASE WHEN state = 1 OR due <= :now THEN 0 ELSE size - sent - failed - unaddressable - canceled END),
       min(CASE WHEN state = 0 AND due <= :now THEN due END)
  FROM chunk INDEXED BY chunk_due WHERE state < 2 GROUP BY account_id, lane;
