-- Heddle's journal, layout 4. Written in one transaction into a new file; older files come here by migrations/*.sql.
-- 1214538860 is 0x4864646C, "Hddl": it tells a journal from any other SQLite file.
-- Columns are only ever added at the end of a table, tables behind the last one, and indexes stand behind all tables: an
-- old file that was migrated (and vacuumed) and a new one are then the same, and what is salvaged from a damaged file can
-- be read with the first page of a new one. That page holds all of this text: comments stand outside the statements.
BEGIN;

PRAGMA application_id = 1214538860;
PRAGMA user_version = 4;

-- created: seconds since the epoch; settings: a JSON object; encoding: chosen for files that are neither marked nor
-- UTF-8; command: sha256 of the command that the job belongs to, empty for the window's; documents: how many rows of
-- document are its own, so that one that goes missing is noticed; crc: CRC-32 of the row (checksum.py), as everywhere.
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

-- A path is what the operating system gave, byte for byte: names need not be UTF-8. deaths: how often the engine ended
-- while this document was in work; locator: which part of the file it is, empty for all of it.
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
    crc           INTEGER NOT NULL DEFAULT 0,
    locator       TEXT NOT NULL DEFAULT ''
) STRICT;

-- One row a done document, none for any other: the primary key forbids a second result. vector: little-endian float32,
-- or NULL; key: sha256 of question and content, by which another job finds the answer.
CREATE TABLE result (
    document INTEGER PRIMARY KEY REFERENCES document (id) ON DELETE CASCADE,
    json     TEXT NOT NULL,
    vector   BLOB,
    key      TEXT NOT NULL DEFAULT '',
    crc      INTEGER
) STRICT;

-- What the journal knows of itself, by name.
CREATE TABLE fact (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    crc   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Rows that were found to be not what was written, as they were then.
CREATE TABLE damaged (id INTEGER PRIMARY KEY, job TEXT NOT NULL, row TEXT NOT NULL) STRICT;

-- Outputs of a step of documents that are not done yet, so that a task of several steps goes on where it was.
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
