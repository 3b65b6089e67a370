-- The tables of layout 2, whose first page salvage puts into a file of layout 1 or 2 that lost its own.
BEGIN;

PRAGMA application_id = 1214538860;
PRAGMA user_version = 2;

CREATE TABLE job (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    created      REAL NOT NULL,               -- seconds since the epoch
    task         TEXT NOT NULL,
    settings     TEXT NOT NULL,               -- JSON object
    priority     INTEGER NOT NULL,
    status       TEXT NOT NULL,
    model        TEXT NOT NULL,
    encoding     TEXT NOT NULL DEFAULT '',    -- chosen for files that are neither marked nor UTF-8
    on_bad_bytes TEXT NOT NULL DEFAULT 'fail',
    command      TEXT NOT NULL DEFAULT ''     -- sha256 of the command that the job belongs to, empty for the window's
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
    lane          INTEGER NOT NULL,
    deaths        INTEGER NOT NULL DEFAULT 0  -- how often the engine ended while this document was in work
) STRICT;

CREATE INDEX document_in_pile_order ON document (job, position, id);

-- One row a done document, none for any other: the primary key forbids a second result.
CREATE TABLE result (
    document INTEGER PRIMARY KEY REFERENCES document (id) ON DELETE CASCADE,
    json     TEXT NOT NULL,
    vector   BLOB,                            -- little-endian float32, or NULL
    key      TEXT NOT NULL DEFAULT '',        -- sha256 of question and content, by which another job finds the answer
    crc      INTEGER                          -- CRC-32 of the row (record.checksum); NULL for results of layout 1
) STRICT;

CREATE INDEX result_by_key ON result (key) WHERE key <> '';

-- What the journal knows of itself, by name.
CREATE TABLE fact (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

COMMIT;
