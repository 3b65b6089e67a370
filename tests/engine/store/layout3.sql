BEGIN;

PRAGMA application_id = 1214538860;
PRAGMA user_version = 3;

CREATE TABLE job (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    created      REAL NOT NULL,
    task         TEXT NOT NULL,
    settings     TEXT NOT NULL,
    priority     INTEGER NOT NULL,
    status       TEXT NOT NULL,
    model        TEXT NOT NULL,
    encoding     TEXT NOT NULL DEFAULT '',
    on_bad_bytes TEXT NOT NULL DEFAULT 'fail',
    command      TEXT NOT NULL DEFAULT '',
    documents    INTEGER NOT NULL DEFAULT 0,
    crc          INTEGER NOT NULL DEFAULT 0
) STRICT;

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
    deaths        INTEGER NOT NULL DEFAULT 0,
    crc           INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE result (
    document INTEGER PRIMARY KEY REFERENCES document (id) ON DELETE CASCADE,
    json     TEXT NOT NULL,
    vector   BLOB,
    key      TEXT NOT NULL DEFAULT '',
    crc      INTEGER
) STRICT;

CREATE TABLE fact (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    crc   INTEGER NOT NULL DEFAULT 0
) STRICT;

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

CREATE INDEX document_in_pile_order ON document (job, position, id);
CREATE INDEX result_by_key ON result (key) WHERE key <> '';

COMMIT;
