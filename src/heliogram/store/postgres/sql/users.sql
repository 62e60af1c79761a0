-- name: user_exists
-- 1 when the account has the user and it is not deleted.
SELECT 1 FROM app_user WHERE account_id = :account AND id = :user AND deleted IS NULL;

-- name: insert_user
-- A new user.
INSERT INTO app_user (account_id, id, created, updated, external_id) VALUES (:account, :user, :at, :at, :external);

-- name: get_user
-- A user, deleted or not.
SELECT account_id, id, created, updated, deleted, external_id FROM app_user WHERE account_id = :account AND id = :user;

-- name: list_users
-- Users, newest first, deleted ones too.
SELECT account_id, id, created, updated, deleted, external_id
  FROM app_user WHERE account_id = :account AND id >= :low AND id < :before ORDER BY id DESC LIMIT :limit;

-- name: named_user
-- The user, not deleted, that has an external id.
SELECT account_id, id, created, updated, deleted, external_id
  FROM app_user
 WHERE account_id = :account AND external_id = :external AND deleted IS NULL;

-- name: named_users
-- The users that have these external ids.
SELECT u.external_id, u.id
  FROM unnest(:names::text[]) w (name)
  CROSS JOIN LATERAL (SELECT external_id, id FROM app_user
                       WHERE account_id = :account AND external_id = w.name AND deleted IS NULL LIMIT 1) u;

-- name: missing_users
-- Which of many users the account does not have.
SELECT w.id FROM unnest(:users::bytea[]) w (id)
 WHERE (SELECT 1 FROM app_user u WHERE u.account_id = :account AND u.id = w.id AND u.deleted IS NULL) IS NULL;

-- name: name_user
-- Gives a user an external id, or takes it away.
UPDATE app_user SET external_id = :external, updated = greatest(updated, :at)
 WHERE account_id = :account AND id = :user AND deleted IS NULL;

-- name: mark_deleted
-- The user is deleted; its entry stays.
UPDATE app_user SET deleted = :at, updated = greatest(updated, :at)
 WHERE account_id = :account AND id = :user AND deleted IS NULL;

-- name: registrations_of_user
-- A user's registrations in all apps.
SELECT r.id
  FROM app a
  CROSS JOIN LATERAL (SELECT id FROM registration
                       WHERE account_id = a.account_id AND app_name = a.name AND user_id = :user LIMIT 1) r
 WHERE a.account_id = :account;
