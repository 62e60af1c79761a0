-- name: app_exists
-- 1 when the account has the app, 0 when it is being removed.
SELECT (leaving IS NULL)::int FROM app WHERE account_id = :account AND name = :app;

-- name: count_apps
-- How many apps the account has.
SELECT count(*) FROM app WHERE account_id = :account AND leaving IS NULL;

-- name: insert_app
-- A new app.
INSERT INTO app (account_id, name, is_default, created, updated) VALUES (:account, :app, :default, :at, :at);

-- name: touch_app
-- Something about the app's credentials has changed.
UPDATE app SET updated = :at WHERE account_id = :account AND name = :app;

-- name: leave_app
-- From here on nobody sees the app, and it is no default.
UPDATE app SET leaving = :at, is_default = 0 WHERE account_id = :account AND name = :app;

-- name: first_leaving_app
-- The app that is being removed longest.
SELECT account_id, name FROM app
 WHERE leaving IS NOT NULL ORDER BY leaving, account_id, name LIMIT 1;

-- name: delete_app
-- Removes an app of which nothing is left.
DELETE FROM app WHERE account_id = :account AND name = :app;

-- name: promote_oldest_app
-- Makes the oldest app that is left the default, unless there is one.
UPDATE app SET is_default = 1, updated = :at
 WHERE account_id = :account
   AND name = (SELECT name FROM app WHERE account_id = :account AND leaving IS NULL ORDER BY created, name LIMIT 1)
   AND NOT EXISTS (SELECT 1 FROM app WHERE account_id = :account AND is_default = 1);

-- name: select_apps
-- The account's apps with their default credentials, newest first; at most ten, so the rest is done in memory.
SELECT a.name, a.is_default, a.created, a.updated, c.type, c.id
  FROM app a
  LEFT JOIN credential c ON c.account_id = a.account_id AND c.app_name = a.name AND c.is_default = 1
 WHERE a.account_id = :account AND a.leaving IS NULL
 ORDER BY a.created DESC, a.name DESC, c.type;

-- name: count_credentials
-- How many credentials the app has, and how many of one type are good.
SELECT count(*), count(*) FILTER (WHERE type = :type AND revoked IS NULL)
  FROM credential WHERE account_id = :account AND app_name = :app;

-- name: insert_credential
-- A new credential with its sealed secret.
INSERT INTO credential (account_id, id, app_name, type, form, public, sealed, is_default, created, updated,
                        revision, epoch, revoked)
VALUES (:account, :id, :app, :type, :form, :public, :sealed, :default, :created, :updated,
        :revision, :epoch, :revoked);

-- name: clear_default
-- No credential of this type is the app's default any more.
UPDATE credential SET is_default = 0, updated = :at
 WHERE account_id = :account AND app_name = :app AND type = :type AND is_default = 1;

-- name: delete_credential
-- Removes a credential and says what it was.
DELETE FROM credential WHERE account_id = :account AND id = :id RETURNING app_name, type, is_default;

-- name: promote_oldest_credential
-- Makes the oldest good credential of a type that is left the app's default.
UPDATE credential SET is_default = 1, updated = :at
 WHERE account_id = :account
   AND id = (SELECT id FROM credential
              WHERE account_id = :account AND app_name = :app AND type = :type AND revoked IS NULL
              ORDER BY created, id LIMIT 1);

-- name: get_credential
-- A credential and its sealed secret.
SELECT account_id, id, app_name, type, form, public, is_default, created, updated, revision, epoch, revoked,
       last_check, sealed
  FROM credential WHERE account_id = :account AND id = :id;

-- name: list_credentials
-- Credentials, newest first.
SELECT account_id, id, app_name, type, form, public, is_default, created, updated, revision, epoch, revoked,
       last_check
  FROM credential
 WHERE account_id = :account AND id >= :low AND id < :before
   AND (:app::text IS NULL OR app_name = :app)
   AND (:type::text IS NULL OR type = :type)
   AND (:default::smallint IS NULL OR is_default = :default)
 ORDER BY id DESC LIMIT :limit;

-- name: credential_to_delete
-- The app of a credential, and whether it is the app's only one.
SELECT app_name, (NOT EXISTS (SELECT 1 FROM credential other
                               WHERE other.account_id = c.account_id AND other.app_name = c.app_name
                                 AND other.id <> c.id))::int
  FROM credential c WHERE account_id = :account AND id = :id;

-- name: count_users
-- How many users have a registration in an app, counted so far.
SELECT count(*) FROM (SELECT 1 FROM registration
                       WHERE account_id = :account AND app_name = :app
                       ORDER BY user_id LIMIT :most) AS counted;

-- name: some_app_devices
-- The devices of the registrations that go next.
DELETE FROM device
 WHERE (account_id, registration_id) IN
       (SELECT account_id, id FROM registration
         WHERE account_id = :account AND app_name = :app ORDER BY user_id LIMIT :limit);

-- name: some_app_registrations
-- These registrations.
DELETE FROM registration
 WHERE (account_id, id) IN
       (SELECT account_id, id FROM registration
         WHERE account_id = :account AND app_name = :app ORDER BY user_id LIMIT :limit);
