"""What a batch leaves beside the studies: results.csv and .parquet, errors.csv, items.csv; each complete or absent."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lvo.batch.columns import COLUMNS
from lvo.batch.records import Job, Row
from lvo.durable import replace_file
from lvo.errors import OutputError

__all__ = ["write_file", "write_tables"]

_ERRORS = ("item", "study_instance_uid", "error.kind", "error.reason", "attempts", "seconds", "peak_mb")


def write_tables(folder: Path, jobs: Sequence[Job], rows: Sequence[Row]) -> list[Path]:
    """Write the tables; returns the files. results.parquet is left out where pyarrow is not installed.

    Args:
        folder: of the results.
        jobs: all items.
        rows: of all studies, sorted.

    Raises:
        OutputError: one cannot be written.
    """
    files = {
        "results.csv": _csv(list(COLUMNS), rows),
        "errors.csv": _csv(list(_ERRORS), [row for row in rows if row["status"] == "failed"]),
        "items.csv": _csv(
            ["item", "state", "attempts", "location"],
            [
                {
                    "item": job.item.id,
                    "state": job.state.value,
                    "attempts": job.attempts,
                    "location": " ".join(job.item.locations),
                }
                for job in jobs
            ],
        ),
    }
    private = {"items.csv": 0o600}  # locations may hold names of patients
    written = [write_file(folder / name, content, mode=private.get(name)) for name, content in files.items()]
    parquet = _parquet(rows)
    if parquet is not None:
        written.append(write_file(folder / "results.parquet", parquet))
    return written


def write_file(path: Path, content: bytes, *, mode: int | None = None) -> Path:
    """Write one file of the results folder; returns it.

    Raises:
        OutputError: it cannot be written; the old one stays then.
    """
    try:
        replace_file(path, content, mode=mode)
    except OSError as error:
        msg = f"{path.name} cannot be written: {error.strerror}"
        raise OutputError(msg) from error
    return path


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """RFC 4180; nothing where there is no value, true and false in JSON's words."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([json.dumps(v) if isinstance(v := row.get(name), bool) else v for name in columns])
    return text.getvalue().encode("utf-8", "surrogateescape")


def _parquet(rows: Sequence[Row]) -> bytes | None:
    """The same with types, for pandas, polars, DuckDB, R."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        return None
    schema = pa.schema([pa.field(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()])
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    return bytes(sink.getvalue())
