-- name: user_exists
-- 1 when the account has the user and it is not deleted.
SELECT 1 FROM user WHERE account_id = :account AND id = :user AND deleted IS NULL;

-- name: insert_user
-- A new user.
INSERT INTO user (account_id, id, created, updated, external_id) VALUES (:account, :user, :at, :at, :external);

-- name: get_user
-- A user, deleted or not.
SELECT account_id, id, created, updated, deleted, external_id FROM user WHERE account_id = :account AND id = :user;

-- name: list_users
-- Users, newest first, deleted ones too.
SELECT account_id, id, created, updated, deleted, external_id
  FROM user WHERE account_id = :account AND id >= :low AND id < :before ORDER BY id DESC LIMIT :limit;

-- name: named_user
-- The user, not deleted, that has an external id.
SELECT account_id, id, created, updated, deleted, external_id
  FROM user INDEXED BY user_external
 WHERE account_id = :account AND external_id = :external AND deleted IS NULL;

-- name: named_users
-- The users that have these external ids.
SELECT u.external_id, u.id
  FROM carray(:names) w
 CROSS JOIN user u INDEXED BY user_external ON u.account_id = :account AND u.external_id = w.value
 WHERE u.deleted IS NULL;

-- name: missing_users
-- Which of many users the account does not have. Those that it has are not told: each row that is told makes the
-- reader's thread take turns with all others.
SELECT w.value FROM carray(:users) w
 WHERE NOT EXISTS (SELECT 1 FROM user u INDEXED BY user_present
                    WHERE u.account_id = :account AND u.id = w.value AND u.deleted IS NULL);

-- name: name_user
-- Gives a user an external id, or takes it away.
UPDATE user SET external_id = :external, updated = max(updated, :at)
 WHERE account_id = :account AND id = :user AND deleted IS NULL;

-- name: mark_deleted
-- The user is deleted; its entry stays.
UPDATE user SET deleted = :at, updated = max(updated, :at)
 WHERE account_id = :account AND id = :user AND deleted IS NULL;

-- name: registrations_of_user
-- A user's registrations in all apps.
SELECT id FROM registration INDEXED BY registration_by_user
 WHERE account_id = :account AND user_id = :user
   AND app_name IN (SELECT name FROM app WHERE account_id = :account);
