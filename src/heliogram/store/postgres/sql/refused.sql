-- name: refuse
-- The provider refused a token that is not registered: a registered one says so itself.
INSERT INTO refused_token (account_id, app_name, token, kind, environment, reason, credential_id, at)
SELECT :account, :app, :token, :kind, :environment, :reason, :credential, :at::bigint
 WHERE NOT EXISTS (SELECT 1 FROM device
                    WHERE account_id = :account AND app_name = :app AND token = :token AND provider = 'APN'
                      AND kind = :kind AND environment IN ('', :environment))
    ON CONFLICT (account_id, app_name, token, kind, environment)
    DO UPDATE SET reason = :reason, credential_id = :credential, at = :at;

-- name: forget_token
-- The app has registered it: what was said of it before is over.
DELETE FROM refused_token WHERE account_id = :account AND app_name = :app AND token = :token;

-- name: refused
-- Which of many tokens were refused since, and not registered after that, and which registered ones are quarantined:
-- few are, and have an index. Who has none of either, since it registers no devices, is not asked token by token.
SELECT t.token, t.environment, t.reason, t.credential_id
  FROM unnest(:tokens::bytea[]) w (token)
  CROSS JOIN LATERAL (SELECT token, environment, reason, credential_id, at FROM refused_token
                       WHERE account_id = :account AND app_name = :app AND token = w.token AND kind = :kind
                      OFFSET 0) t
 WHERE (SELECT true FROM refused_token WHERE account_id = :account LIMIT 1) AND t.at > :since
   AND (SELECT 1 FROM device d
         WHERE d.account_id = :account AND d.token = t.token AND d.app_name = :app AND d.provider = 'APN'
           AND d.kind = :kind AND d.environment IN ('', t.environment) AND d.registered_at >= t.at LIMIT 1) IS NULL
 UNION ALL
SELECT d.token, d.environment, coalesce(d.state_reason, ''), ''::bytea
  FROM unnest(:tokens::bytea[]) w (token)
  CROSS JOIN LATERAL (SELECT token, environment, state_reason FROM device
                       WHERE account_id = :account AND token = w.token AND app_name = :app AND provider = 'APN'
                         AND kind = :kind AND state = 'quarantined' OFFSET 0) d
 WHERE (SELECT true FROM device WHERE account_id = :account LIMIT 1);

-- name: forget_refused
-- Some of what was refused long ago.
DELETE FROM refused_token
 WHERE (account_id, app_name, token, kind, environment) IN
       (SELECT account_id, app_name, token, kind, environment FROM refused_token
         WHERE at <= :before ORDER BY at LIMIT :limit);
