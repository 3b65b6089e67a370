-- From layout 1 to layout 2; run inside a transaction that is not of this file.
ALTER TABLE job ADD COLUMN encoding TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN on_bad_bytes TEXT NOT NULL DEFAULT 'fail';
ALTER TABLE job ADD COLUMN command TEXT NOT NULL DEFAULT '';
ALTER TABLE document ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
ALTER TABLE result ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE result ADD COLUMN crc INTEGER;
CREATE INDEX result_by_key ON result (key) WHERE key <> '';
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
