"""The journal's statements of SQL."""

from __future__ import annotations

from collections.abc import Sequence

from engine.api.state import State
from engine.store.checksum import FACT_SQL, RESULT_SQL, document_sql, job_sql
from engine.store.record import DOCUMENT_COLUMNS, JOB_COLUMNS, RESULT_COLUMNS
from engine.store.step_output import OUTPUT_COLUMNS

PAGE = 256
"""Rows that one read fetches; a pile is walked page by page, so no read holds the log back for long."""

FATAL = 2
"""A document that was in work so many times when the engine died is not tried again by itself."""

_JOB_CRC = job_sql(JOB_COLUMNS)
_DOCUMENT_CRC = document_sql(DOCUMENT_COLUMNS)


def insert(table: str, columns: Sequence[str]) -> str:
    """Return the statement that inserts a row with ``columns``."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


# ------------------------------------------------------------------------------------------------------------------- jobs
ADD_JOB = insert("job", (*JOB_COLUMNS, "documents", "crc"))
REMOVE_JOB = "DELETE FROM job WHERE id = ?"
REMOVE_DAMAGED = "DELETE FROM damaged WHERE job = ?"
ALL_JOBS = f"SELECT {', '.join(JOB_COLUMNS)}, documents, crc FROM job"
# A row that is not what was written is never given a checksum that says it is.
GROW = (
    f"UPDATE job SET documents = documents + ?1, crc = {job_sql(JOB_COLUMNS, documents='documents + ?1')} "
    f"WHERE id = ?2 AND crc = {_JOB_CRC}"
)
GROW_JOBS = (
    "UPDATE fact SET value = CAST(value + ?1 AS TEXT), "
    "crc = fact_crc(CAST(name AS BLOB), CAST(CAST(value + ?1 AS TEXT) AS BLOB)) "
    f"WHERE name = 'jobs' AND ?2 = '' AND crc = {FACT_SQL}"
)
_COUNTED = "(SELECT COUNT(*) FROM document WHERE job = job.id)"
MEND_JOB = (
    f"UPDATE job SET {', '.join(f'{name} = ?{number}' for number, name in enumerate(JOB_COLUMNS[1:], 2))}, "
    f"documents = {_COUNTED}, "
    f"crc = {job_sql(JOB_COLUMNS, **{name: f'?{number}' for number, name in enumerate(JOB_COLUMNS, 1)}, documents=_COUNTED)} "
    f"WHERE id = ?1 AND crc IS NOT {_JOB_CRC}"
)
TALLY = f"SELECT id, name, documents, {_COUNTED} FROM job"
SET_TALLY = (
    f"UPDATE job SET documents = ?1, crc = {job_sql(JOB_COLUMNS, documents='?1')} WHERE id = ?2 AND crc = {_JOB_CRC}"
)


def change_job(names: Sequence[str]) -> str:
    """Return the statement that gives a job's columns ``names`` new values; its last value is the job's id."""
    new = {name: f"?{number}" for number, name in enumerate(names, 1)}
    sets = ", ".join(f"{name} = {value}" for name, value in new.items())
    return f"UPDATE job SET {sets}, crc = {job_sql(JOB_COLUMNS, **new)} WHERE id = ?{len(new) + 1} AND crc = {_JOB_CRC}"


# -------------------------------------------------------------------------------------------------------------- documents
ADD_DOCUMENT = insert("document", (*DOCUMENT_COLUMNS, "crc"))
CHANGE_DOCUMENT = f"UPDATE document SET {' = ?, '.join((*DOCUMENT_COLUMNS[2:], 'crc'))} = ? WHERE id = ? AND job = ?"
MEND_DOCUMENT = f"UPDATE document SET {' = ?, '.join((*DOCUMENT_COLUMNS[1:], 'crc'))} = ? WHERE id = ? AND crc IS NOT {_DOCUMENT_CRC}"
REMOVE_DOCUMENT = "DELETE FROM document WHERE id = ? AND job = ?"
_WAITS_AGAIN = f"'{State.WAITING}'"
_LOST = f"state = '{State.DONE}' AND NOT EXISTS (SELECT 1 FROM result WHERE document = id AND crc IS {RESULT_SQL})"
MEND_RESULT = (
    f"UPDATE document SET state = {_WAITS_AGAIN}, lane = -1, reason = ?1, "
    f"crc = {document_sql(DOCUMENT_COLUMNS, state=_WAITS_AGAIN, lane='-1', reason='?1')} "
    f"WHERE id = ?2 AND crc = {_DOCUMENT_CRC} AND {_LOST}"
)
KEEP_DAMAGED = insert("damaged", ("job", "row"))

_OPEN = f"state IN ('{State.WAITING}', '{State.RUNNING}', '{State.OFFLINE}')"


def _update(where: str, **new: str) -> str:
    sets = ", ".join(f"{name} = {value}" for name, value in new.items())
    return (
        f"UPDATE document SET {sets}, crc = {document_sql(DOCUMENT_COLUMNS, **new)} "
        f"WHERE {where} AND crc = {_DOCUMENT_CRC}"
    )


DIED = _update(f"id = ? AND {_OPEN}", deaths="deaths + 1", state=f"'{State.RUNNING}'")
QUARANTINE = _update(f"deaths >= {FATAL} AND {_OPEN}", state=f"'{State.QUARANTINED}'", lane="-1", reason="?1")
RECOVER = _update(f"state = '{State.RUNNING}'", state=_WAITS_AGAIN, lane="-1")
BACK_ONLINE = _update(f"state = '{State.OFFLINE}'", state=_WAITS_AGAIN, reason="''")

# ---------------------------------------------------------------------------------------------------------------- results
# A document that was taken off the pile while it ran keeps no result.
PUT_RESULT = (
    f"INSERT OR REPLACE INTO result ({', '.join(RESULT_COLUMNS)}) SELECT {', '.join('?' * len(RESULT_COLUMNS))} "
    f"WHERE EXISTS (SELECT 1 FROM document WHERE id = ? AND state = '{State.DONE}')"
)
DROP_RESULT = (
    "DELETE FROM result WHERE document = ?1 "
    f"AND NOT EXISTS (SELECT 1 FROM document WHERE id = ?1 AND state = '{State.DONE}')"
)

# ------------------------------------------------------------------------------------------------------- outputs of steps
KEEP_OUTPUT = (
    f"INSERT OR REPLACE INTO output ({', '.join(OUTPUT_COLUMNS)}) SELECT {', '.join('?' * len(OUTPUT_COLUMNS))} "
    "WHERE EXISTS (SELECT 1 FROM document WHERE id = ?1)"
)
DROP_OUTPUTS = "DELETE FROM output WHERE document = ?"
OUTPUTS = (
    f"SELECT {', '.join(f'output.{name}' for name in OUTPUT_COLUMNS)} FROM output "
    "JOIN document ON document.id = output.document WHERE document.job = ?"
)

# ------------------------------------------------------------------------------------------------------------------ facts
KNOW = "INSERT OR REPLACE INTO fact (name, value, crc) VALUES (?, ?, ?)"
FACT = "SELECT value, crc FROM fact WHERE name = ?"

# ------------------------------------------------------------------------------------------------------------------ reads
_DOCUMENTS = ", ".join(f"document.{name}" for name in (*DOCUMENT_COLUMNS, "crc"))
_RESULTS = ", ".join(f"result.{name}" for name in RESULT_COLUMNS)
_PILE_ORDER = (
    "WHERE document.job = ? AND (document.position, document.id) > (?, ?) "
    f"ORDER BY document.position, document.id LIMIT {PAGE}"
)
DOCUMENT_PAGE = f"SELECT {_DOCUMENTS} FROM document {_PILE_ORDER}"
RESULT_PAGE = (
    f"SELECT {_DOCUMENTS}, {_RESULTS} FROM document LEFT JOIN result ON result.document = document.id {_PILE_ORDER}"
)
DOCUMENT = f"SELECT {_DOCUMENTS} FROM document WHERE id = ?"
PARTS = "SELECT 1 FROM document WHERE job = ? AND locator <> '' LIMIT 1"
RESULT = f"SELECT {_RESULTS} FROM result WHERE document = ?"
ANSWERS = (
    f"SELECT {_DOCUMENTS}, {_RESULTS} FROM result "
    "JOIN document ON document.id = result.document WHERE result.key IN (%s) AND result.key <> ''"
)
ROWS = (
    f"SELECT {_DOCUMENTS}, {_RESULTS} FROM document LEFT JOIN result ON result.document = document.id "
    "WHERE document.id IN (%s)"
)
MISFITS = (
    "SELECT id, state, result.document IS NOT NULL AS has FROM document LEFT JOIN result ON result.document = id "
    f"WHERE has <> (state = '{State.DONE}')"
)
RESULT_CHECKSUMS = f"SELECT {_RESULTS} FROM result WHERE document > ? ORDER BY document LIMIT {PAGE}"
DOCUMENT_CHECKSUMS = f"SELECT {_DOCUMENTS} FROM document WHERE id > ? ORDER BY id LIMIT {PAGE}"
COUNTS = "SELECT state, COUNT(*) FROM document WHERE job = ? GROUP BY state"
COUNTS_BY_JOB = "SELECT job, state, COUNT(*) FROM document GROUP BY job, state"
