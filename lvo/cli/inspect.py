"""`lvo inspect`: the series of a study, their roles and geometry, and why each was chosen or not. No analysis."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lvo.cli.boundary import GivenPath

if TYPE_CHECKING:
    from lvo.core.study import Study
    from lvo.dicom.select import Selection

__all__ = ["command"]


@click.command("inspect")
@click.argument("paths", metavar="STUDY...", nargs=-1, required=True, type=GivenPath())
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Show the series of a study: role, geometry, why chosen or not.

    STUDY is a folder, a DICOMDIR, a .zip or .tar(.gz), or single files.
    """
    from lvo.dicom.index import open_studies
    from lvo.dicom.select import choose

    with open_studies(paths) as studies:
        found = [(study, choose(study)) for study in studies]
    if as_json:
        click.echo(json.dumps([_plain(study, selection) for study, selection in found], indent=2))
    else:
        _print(found)


def _plain(study: "Study", selection: "Selection") -> dict[str, Any]:
    """One study as JSON types."""
    return {
        "study_instance_uid": study.study_instance_uid,
        "series": [
            {
                "series_instance_uid": row.series_instance_uid,
                "role": row.role.value,
                "used": row.used,
                "reason": row.reason,
                "n_instances": row.n_instances,
                "description": row.description,
                "geometry": row.geometry,
            }
            for row in selection.rows
        ],
        "missing": [text for text in (selection.missing_cta, selection.missing_ctp) if text],
        "notes": [note.text for note in study.notes],
    }


def _print(found: Sequence[tuple["Study", "Selection"]]) -> None:
    """One table per study."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    for study, selection in found:
        table = Table(title=f"study {study.study_instance_uid}", title_justify="left")
        for name in ("no", "description", "images", "geometry", "role", "used", "reason"):
            table.add_column(name, justify="right" if name in ("no", "images") else "left")
        for series, row in zip(study.series, selection.rows, strict=True):
            number = "" if series.number is None else str(series.number)
            used = "yes" if row.used else ""
            cells = (number, row.description, str(row.n_instances), row.geometry, row.role.value, used, row.reason)
            table.add_row(*map(escape, cells))
        console.print(table)
        for text in (selection.missing_cta, selection.missing_ctp, *(note.text for note in study.notes)):
            if text:
                console.print(escape(text), highlight=False)
