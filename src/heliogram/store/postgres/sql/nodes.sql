-- name: master_key
-- The id of the master key that seals what is in here.
SELECT master_key FROM instance;

-- name: begin_master_key
-- The first node says with which key.
INSERT INTO instance (master_key) VALUES (:key) ON CONFLICT (one) DO NOTHING;

-- name: turn_master_key
-- A key was put in front of the one before.
UPDATE instance SET master_key = :key WHERE master_key = :before;

-- name: seen
-- A node is there.
INSERT INTO node (id, name, version, schema, roles, started, seen)
VALUES (:id, :name, :version, :schema, :roles, now_ms(), now_ms())
ON CONFLICT (id) DO UPDATE SET seen = now_ms()
RETURNING (SELECT least FROM heliogram_schema);

-- name: gone
-- A node was stopped.
DELETE FROM node WHERE id = :id;

-- name: forget
-- Nodes that nobody has heard of for so long (ms) are gone.
DELETE FROM node WHERE seen < now_ms() - :silence;

-- name: nodes
-- Who has been heard of lately.
SELECT id, name, version, schema, roles, started, seen, now_ms() FROM node ORDER BY started, id;

-- name: oldest
-- The least that any node knows of the schema.
SELECT min(schema) FROM node;

-- name: gather
-- What has not ended on other shards than the first comes to it, some at a time.
UPDATE chunk SET shard = 0
 WHERE (account_id, operation_id, first) IN
       (SELECT account_id, operation_id, first FROM chunk
         WHERE lane = :lane AND shard > 0 AND state < 2 LIMIT 2000);
