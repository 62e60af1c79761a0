-- name: refuse
-- The provider refused a token that is not registered: a registered one says so itself.
INSERT INTO refused_token (account_id, app_name, token, kind, environment, reason, credential_id, at)
SELECT :account, :app, :token, :kind, :environment, :reason, :credential, :at
 WHERE NOT EXISTS (SELECT 1 FROM device INDEXED BY device_by_token
                    WHERE account_id = :account AND app_name = :app AND token = :token AND provider = 'APN'
                      AND kind = :kind AND environment IN ('', :environment))
    ON CONFLICT (account_id, app_name, token, kind, environment)
    DO UPDATE SET reason = :reason, credential_id = :credential, at = :at;

-- name: forget_token
-- The app has registered it: what was said of it before is over.
DELETE FROM refused_token WHERE account_id = :account AND app_name = :app AND token = :token;

-- name: refused
-- Which of many tokens were refused since, and which registered ones are quarantined: few are, and have an index.
SELECT t.token, t.environment, t.reason, t.credential_id
  FROM carray(:tokens) w
 CROSS JOIN refused_token t
    ON t.account_id = :account AND t.app_name = :app AND t.token = w.value AND t.kind = :kind
 WHERE t.at > :since
 UNION ALL
SELECT d.token, d.environment, coalesce(d.state_reason, ''), x''
  FROM carray(:tokens) w
 CROSS JOIN device d INDEXED BY device_quarantined
    ON d.account_id = :account AND d.app_name = :app AND d.token = w.value AND d.provider = 'APN' AND d.kind = :kind
 WHERE d.state = 'quarantined';

-- name: forget_refused
-- Some of what was refused long ago.
DELETE FROM refused_token
 WHERE (account_id, app_name, token, kind, environment) IN
       (SELECT account_id, app_name, token, kind, environment FROM refused_token INDEXED BY refused_token_by_age
         WHERE at <= :before ORDER BY at LIMIT :limit);
