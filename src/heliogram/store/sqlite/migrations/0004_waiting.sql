-- A chunk that waits for a credential which the provider refuses: for which. Found at once when the credential works.
ALTER TABLE chunk ADD COLUMN held BLOB;
CREATE INDEX chunk_held ON chunk (account_id, held) WHERE held IS NOT NULL AND state = 0;
