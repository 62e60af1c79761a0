-- What `heliogram check` looks at that the embedded store has not.

-- name: nodes_silent
-- Nodes that were not stopped and have not been heard of for so long (ms).
SELECT name, now_ms() - seen FROM node WHERE seen < now_ms() - :silence ORDER BY name;

-- name: leases_left
-- Leases that ended so long ago (ms), and nobody has taken the chunks over: by worker, how many, and for how long (ms).
SELECT worker, count(*), now_ms() - min(due)
  FROM chunk WHERE state = 1 AND due < now_ms() - :silence GROUP BY worker ORDER BY worker;

-- name: leases_of_nobody
-- Leases that have not ended of workers that are none of the nodes heard of within so long (ms).
SELECT c.worker, count(*), max(c.due) - now_ms()
  FROM chunk c
 WHERE c.state = 1 AND c.due >= now_ms()
   AND NOT EXISTS (SELECT 1 FROM node n WHERE n.name = c.worker AND n.seen >= now_ms() - :silence)
 GROUP BY c.worker ORDER BY c.worker;

-- name: indexes_broken
-- Indexes that are not used, or not all of whose rows are in them.
SELECT i.indexrelid::regclass::text, t.relname FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
 WHERE t.relnamespace = current_schema()::regnamespace AND NOT (i.indisvalid AND i.indisready AND i.indislive)
 ORDER BY 1;

-- name: partitions
-- The partitions of the tables that have them.
SELECT i.inhparent::regclass::text, c.relname::text FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
  JOIN pg_class p ON p.oid = i.inhparent
 WHERE p.relnamespace = current_schema()::regnamespace AND p.relkind = 'p';

-- name: database_time
-- The database's time, in ms.
SELECT now_ms();

-- name: references
-- Each reference: the table and its columns, the other table and its, and whether it was looked at when it was made.
SELECT k.conrelid::regclass::text,
       ARRAY(SELECT quote_ident(a.attname) FROM unnest(k.conkey) WITH ORDINALITY n (number, place)
               JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n.number ORDER BY n.place),
       k.confrelid::regclass::text,
       ARRAY(SELECT quote_ident(a.attname) FROM unnest(k.confkey) WITH ORDINALITY n (number, place)
               JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = n.number ORDER BY n.place),
       k.convalidated
  FROM pg_constraint k
 WHERE k.contype = 'f' AND k.conparentid = 0 AND k.connamespace = current_schema()::regnamespace
 ORDER BY k.conrelid::regclass::text, k.conname;

-- name: schema_parts
-- What migrations make in a schema, each with its definition: columns, indexes, functions, triggers, constraints.
SELECT 'column', c.relname || '.' || a.attname,
       format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relnamespace = :schema::text::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
 UNION ALL
SELECT 'index', c.relname, pg_get_indexdef(i.indexrelid)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
 WHERE c.relnamespace = :schema::text::regnamespace AND NOT t.relispartition
 UNION ALL
SELECT 'function', p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', p.prosrc
  FROM pg_proc p WHERE p.pronamespace = :schema::text::regnamespace
 UNION ALL
SELECT 'trigger', t.tgname || ' of ' || c.relname, pg_get_triggerdef(t.oid)
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE c.relnamespace = :schema::text::regnamespace AND NOT t.tgisinternal AND NOT c.relispartition
 UNION ALL
SELECT 'constraint', k.conname || ' of ' || c.relname, pg_get_constraintdef(k.oid)
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE k.connamespace = :schema::text::regnamespace AND k.conparentid = 0 AND NOT c.relispartition;

-- name: references_not_validated
-- References that were not looked at when they were made, and their tables.
SELECT quote_ident(k.conname), k.conrelid::regclass::text FROM pg_constraint k
 WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT k.convalidated
   AND k.connamespace = current_schema()::regnamespace
 ORDER BY 2, 1;
