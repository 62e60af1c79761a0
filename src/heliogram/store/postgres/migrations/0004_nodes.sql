-- The nodes that share this database, and what must be the same of all of them.

CREATE TABLE instance (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  master_key bytea NOT NULL          -- the id of the key that seals, never the key
);

CREATE TABLE node (
  id bytea PRIMARY KEY,
  name text NOT NULL,                -- the machine and the process
  version text NOT NULL,
  schema bigint NOT NULL,            -- the newest it knows
  roles text NOT NULL,
  started bigint NOT NULL,
  seen bigint NOT NULL               -- by the database's clock: all nodes' own may differ
);

-- The database's time: those of the nodes may differ.
CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;
