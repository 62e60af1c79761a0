-- name: depths
-- How many recipients wait and have ended, over all accounts and of one.
SELECT w.account_id, coalesce(sum(d.waiting), 0)::bigint, coalesce(sum(d.ended), 0)::bigint
  FROM (VALUES (''::bytea), (:account)) w (account_id)
  LEFT JOIN queue_depth d ON d.account_id = w.account_id
 GROUP BY w.account_id ORDER BY w.account_id;

-- name: recount
-- What waits of every account, and of all, from their chunks: the difference goes to the first of its rows. The row of
-- all accounts comes first, as in `count_depth`: whoever sends meanwhile waits, and is not waited for.
INSERT INTO queue_depth AS d (account_id, slot, waiting, ended)
SELECT w.whose, 0, coalesce(c.waiting, 0) - coalesce(k.waiting, 0), 0
  FROM (SELECT id AS whose FROM account UNION ALL SELECT '') w
  LEFT JOIN (SELECT coalesce(account_id, '') AS whose,
                    sum(size - sent - failed - unaddressable - canceled)::bigint AS waiting
               FROM chunk WHERE state < 2 GROUP BY GROUPING SETS ((account_id), ())) c ON c.whose = w.whose
  LEFT JOIN (SELECT account_id, sum(waiting)::bigint AS waiting FROM queue_depth GROUP BY account_id) k
    ON k.account_id = w.whose
 WHERE w.whose = '' OR coalesce(c.waiting, 0) <> coalesce(k.waiting, 0)
 ORDER BY w.whose
    ON CONFLICT (account_id, slot) DO UPDATE SET waiting = d.waiting + excluded.waiting;

-- name: recount_all
-- What waits over all accounts.
INSERT INTO queue_depth AS d (account_id, slot, waiting, ended)
SELECT '', 0, coalesce(sum(CASE WHEN account_id = '' THEN -waiting ELSE waiting END), 0)::bigint, 0 FROM queue_depth
    ON CONFLICT (account_id, slot) DO UPDATE SET waiting = d.waiting + excluded.waiting;

-- name: lanes
-- What has not ended of every account and lane: due or in hand, later, and since when the first that nobody has is due.
SELECT account_id, lane,
       sum(CASE WHEN state = 1 OR due <= :now THEN size - sent - failed - unaddressable - canceled ELSE 0 END)::bigint,
       sum(CASE WHEN state = 1 OR due <= :now THEN 0 ELSE size - sent - failed - unaddressable - canceled END)::bigint,
       min(CASE WHEN state = 0 AND due <= :now THEN due END)
  FROM chunk WHERE state < 2 GROUP BY account_id, lane;
