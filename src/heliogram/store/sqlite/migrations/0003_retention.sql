-- What retention needs: finding what ended long ago without a search, and removing it in slices.

CREATE INDEX operation_finished ON operation (finished, account_id, id) WHERE finished IS NOT NULL;
CREATE INDEX user_deleted ON user (deleted, account_id, id) WHERE deleted IS NOT NULL;
-- Removing a user asks for its registrations, whatever the app.
CREATE INDEX registration_of_user ON registration (account_id, user_id);

-- Operations that are gone, of whose chunks something is left to be removed.
CREATE TABLE leaving (
  account_id BLOB NOT NULL,
  operation_id BLOB NOT NULL,
  PRIMARY KEY (account_id, operation_id)
) STRICT, WITHOUT ROWID;

-- A chunk refers to its operation no longer: the operation goes first, so that nobody sees half of one.
CREATE TABLE loose_chunk (
  account_id BLOB NOT NULL,
  operation_id BLOB NOT NULL,
  first INTEGER NOT NULL,            -- the sequence of its first recipient: with the operation's id it makes its id
  size INTEGER NOT NULL,
  lane INTEGER NOT NULL,
  shard INTEGER NOT NULL,
  state INTEGER NOT NULL,            -- 0 waiting, 1 leased, 2 done
  due INTEGER NOT NULL,              -- of a leased one: when the lease expires
  attempt INTEGER NOT NULL,          -- counts leases, and fences the writes of earlier ones
  worker TEXT NOT NULL,
  parts INTEGER NOT NULL,            -- result parts written so far
  sent INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  unaddressable INTEGER NOT NULL,
  canceled INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  claimed INTEGER NOT NULL DEFAULT 0,  -- when it was leased last: what was due then is sent
  PRIMARY KEY (account_id, operation_id, first)
) STRICT, WITHOUT ROWID;
INSERT INTO loose_chunk (account_id, operation_id, first, size, lane, shard, state, due, attempt, worker, parts,
                         sent, failed, unaddressable, canceled, updated, claimed)
  SELECT account_id, operation_id, first, size, lane, shard, state, due, attempt, worker, parts,
         sent, failed, unaddressable, canceled, updated, claimed
    FROM chunk;
DROP TABLE chunk;
ALTER TABLE loose_chunk RENAME TO chunk;
CREATE INDEX chunk_due ON chunk (lane, shard, due) WHERE state < 2;
