-- name: insert_first_account
-- The account that an instance starts with, unless there is one.
INSERT INTO account (id, name, created)
SELECT :id::bytea, :name::text, :created::bigint WHERE NOT EXISTS (SELECT 1 FROM account);

-- name: first_account
-- The account that an instance started with.
SELECT id, name, created, limits, disabled FROM account ORDER BY created, id LIMIT 1;

-- name: insert_account
-- A new account.
INSERT INTO account (id, name, created, limits, disabled) VALUES (:id, :name, :created, :limits, :disabled);

-- name: name_taken
-- 1 when an account has the name.
SELECT 1 FROM account WHERE name = :name;

-- name: count_accounts
-- How many accounts there are.
SELECT count(*) FROM account;

-- name: get_account
-- The account with an id.
SELECT id, name, created, limits, disabled FROM account WHERE id = :account;

-- name: account_named
-- The account with a name.
SELECT id, name, created, limits, disabled FROM account WHERE name = :name;

-- name: list_accounts
-- All accounts, the oldest first; at most a thousand.
SELECT id, name, created, limits, disabled FROM account ORDER BY created, id;

-- name: get_limits
-- The limits of an account.
SELECT limits FROM account WHERE id = :account;

-- name: set_limits
-- Sets an account's limits.
UPDATE account SET limits = :limits WHERE id = :account;

-- name: set_disabled
-- Disables an account, or enables it again.
UPDATE account SET disabled = :at WHERE id = :account;

-- name: count_account
-- How much of its limits an account uses; every count is of few rows.
SELECT (SELECT count(*) FROM app WHERE account_id = :account AND leaving IS NULL),
       (SELECT count(*) FROM credential WHERE account_id = :account),
       (SELECT count(*) FROM api_key
         WHERE account_id = :account AND revoked IS NULL AND (expires IS NULL OR expires > :now)),
       (SELECT count(*) FROM webhook WHERE account_id = :account),
       (SELECT coalesce(sum(waiting), 0)::bigint FROM queue_depth WHERE account_id = :account);
