-- From layout 2 to layout 3; run inside a transaction that is not of this file. The checksums are filled in behind it.
ALTER TABLE job ADD COLUMN documents INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE document ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE fact ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
CREATE TABLE damaged (id INTEGER PRIMARY KEY, job TEXT NOT NULL, row TEXT NOT NULL) STRICT;
CREATE TABLE output (
    document INTEGER NOT NULL REFERENCES document (id) ON DELETE CASCADE,
    step     INTEGER NOT NULL,
    key      TEXT NOT NULL,
    json     TEXT NOT NULL,
    vector   BLOB,
    crc      INTEGER NOT NULL,
    PRIMARY KEY (document, step, key)
) STRICT;
