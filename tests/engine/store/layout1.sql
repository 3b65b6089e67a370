-- Heddle's journal, layout 1. Written in one transaction into a new file; later layouts are reached by migrations.
-- 1214538860 is 0x4864646C, "Hddl": it tells a journal from any other SQLite file.
BEGIN;

PRAGMA application_id = 1214538860;
PRAGMA user_version = 1;

CREATE TABLE job (
    id       TEXT PRIMARY KEY,
    name     TEXT NOT NULL,
    created  REAL NOT NULL,               -- seconds since the epoch
    task     TEXT NOT NULL,
    settings TEXT NOT NULL,               -- JSON object
    priority INTEGER NOT NULL,
    status   TEXT NOT NULL,
    model    TEXT NOT NULL
) STRICT;

-- A path is what the operating system gave, byte for byte: names need not be UTF-8.
CREATE TABLE document (
    id            INTEGER PRIMARY KEY,
    job           TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL,
    path          BLOB NOT NULL,
    size          INTEGER NOT NULL,
    mtime_ns      INTEGER NOT NULL,
    sha256        TEXT NOT NULL,
    encoding      TEXT NOT NULL,
    confidence    REAL NOT NULL,
    state         TEXT NOT NULL,
    reason        TEXT NOT NULL,
    tokens        INTEGER NOT NULL,
    unknown_share REAL NOT NULL,
    coverage      REAL NOT NULL,
    seconds       REAL NOT NULL,
    lane          INTEGER NOT NULL
) STRICT;

CREATE INDEX document_in_pile_order ON document (job, position, id);

-- One row a done document, none for any other: the primary key forbids a second result.
CREATE TABLE result (
    document INTEGER PRIMARY KEY REFERENCES document (id) ON DELETE CASCADE,
    json     TEXT NOT NULL,
    vector   BLOB                         -- little-endian float32, or NULL
) STRICT;

COMMIT;
