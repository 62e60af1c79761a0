-- A chunk that waits for a credential which the provider refuses: for which. Found at once when the credential works.
ALTER TABLE chunk ADD COLUMN held BLOB;
CREATE INDEX chunk_held ON chunk (account_id, held) WHERE held IS NOT NULL AND state = 0;

-- A claim goes through the accounts in turn, and takes of each what is due longest.
DROP INDEX chunk_due;
CREATE INDEX chunk_due ON chunk (lane, shard, account_id, due) WHERE state < 2;
