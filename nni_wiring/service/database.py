"""NNI's database opened for reading as if a stranger had made it.

A database is a program, too: a view or a generated column in the place of a table computes for
ever, or calls functions. Only plain tables of the expected names are read, under limits.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

TABLES = ("ExperimentProfile", "TrialJobEvent", "MetricData")
MOST_ROWS = 1_000_000
_LONGEST_VALUE = 16 << 20  # bytes; a metric has some hundred
_SECONDS = 20  # CPU, of all queries together
_STEPS = 100_000  # of SQLite's machine between two looks at the clock


@contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the database for a block of queries.

    Raises:
        sqlite3.Error: damaged, locked for long, one of the tables is a view or has computed
            columns, too many rows, or the queries take too long.
    """
    address = f"{database.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=20)) as connection:
        if hasattr(connection, "setlimit"):  # Python 3.11
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        end = time.process_time() + _SECONDS
        connection.set_progress_handler(lambda: int(time.process_time() > end), _STEPS)
        connection.execute("pragma trusted_schema = off")
        for table in TABLES:
            _check(connection, table)
        yield connection


def _check(connection: sqlite3.Connection, table: str) -> None:
    query = "select type, sql from sqlite_master where name = ? collate nocase"
    kinds = connection.execute(query, (table,)).fetchall()
    if not kinds:
        raise sqlite3.DatabaseError(f"no such table: {table}")
    if [kind for kind, _ in kinds] != ["table"] or "virtual" in str(kinds[0][1])[:20].lower():
        raise sqlite3.DatabaseError(f"{table} is no plain table")
    hidden = connection.execute(f"select 1 from pragma_table_xinfo('{table}') where hidden <> 0")
    if hidden.fetchone():
        raise sqlite3.DatabaseError(f"{table} has computed columns")
    rows = connection.execute(f"select count(*) from (select 1 from {table} limit {MOST_ROWS + 1})")  # noqa: S608
    if rows.fetchone()[0] > MOST_ROWS:
        raise sqlite3.DatabaseError(f"{table} has more than {MOST_ROWS} rows")
