"""`lvo inspect`: the series of a study, their roles and geometry, and why each was chosen or not. No analysis."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lvo.cli.boundary import GivenPath

if TYPE_CHECKING:
    from rich.console import Console

    from lvo.config import SelectionSettings
    from lvo.core.study import Study
    from lvo.dicom.score import Rank
    from lvo.dicom.select import Selection

__all__ = ["command"]

_ROLES = {
    "cta": "CT angiogram", "ctp": "CT perfusion", "ncct": "plain CT", "localizer": "localizer", "derived": "made from others",
    "other": "other",
}  # fmt: skip
"""Roles in the words of the scanner's console."""


@click.command("inspect")
@click.argument("paths", metavar="STUDY...", nargs=-1, required=True, type=GivenPath())
@click.option(
    "--config", "config_path", envvar="LVO_CONFIG", type=GivenPath(), help="Settings in TOML, for their rules on series."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(paths: tuple[Path, ...], *, config_path: Path | None, as_json: bool) -> None:
    """Show the series of a study: role, geometry, why chosen or not.

    STUDY is a folder, a DICOMDIR, a .zip or .tar(.gz), or single files.
    """
    from lvo.config import load_config
    from lvo.dicom.index import open_studies
    from lvo.dicom.select import choose

    settings: SelectionSettings = load_config(config_path).selection
    with open_studies(paths) as studies:
        found = [(study, choose(study, settings)) for study in studies]
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
                "number": series.number,
                "role": row.role.value,
                "used": row.used,
                "rank": None if rank is None else rank.place,
                "ranked": None if rank is None else rank.of,
                "points": None if rank is None else dict(rank.points),
                "sound": None if rank is None else rank.sound,
                "reason": row.reason,
                "n_instances": row.n_instances,
                "description": row.description,
                "geometry": row.geometry,
            }
            for series, row, rank in zip(study.series, selection.rows, selection.ranks, strict=True)
        ],
        "missing": [text for text in (selection.missing_cta, selection.missing_ctp) if text],
        "notes": [note.text for note in study.notes],
    }


def _print(found: Sequence[tuple["Study", "Selection"]]) -> None:
    """Per study what is used, then a table, then what is odd."""
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    for study, selection in found:
        console.print(f"study {study.study_instance_uid}", highlight=False)
        for line in _used(study, selection):
            console.print(escape(line), highlight=False)
        _print_table(console, study, selection)
        for text in (note.text for note in study.notes):
            console.print(escape(f"Note: {text}"), highlight=False)
        console.print()


def _used(study: "Study", selection: "Selection") -> list[str]:
    """What would be analysed, a line each: "CT angiogram: series 3", or why there is none."""
    lines = []
    for role, missing in (("cta", selection.missing_cta), ("ctp", selection.missing_ctp), ("ncct", "")):
        used = [n for n, row in enumerate(selection.rows) if row.used and row.role.value == role]
        numbers = ["without number" if study.series[n].number is None else str(study.series[n].number) for n in used]
        if numbers:
            which = numbers[0] if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} ({len(numbers)} series)"
            sound = all(_sound(selection.ranks[n]) for n in used)
            lines.append(f"{_ROLES[role]}: series {which}" + ", WHICH CANNOT BE USED: see its reason" * (not sound))
        elif missing:
            lines.append(missing)
    return lines


def _sound(rank: "Rank | None") -> bool:
    """Whether a series can be loaded, as far as headers tell."""
    return rank is None or rank.sound


def _print_table(console: "Console", study: "Study", selection: "Selection") -> None:
    """A row per series, used ones in bold; below it the reasons, which are too long for a column of a narrow terminal."""
    from rich.markup import escape
    from rich.table import Table

    table, reasons = Table(), Table.grid(padding=(0, 1))
    for name in ("no", "description", "images", "geometry", "role", "used"):
        table.add_column(name, justify="right" if name in ("no", "images") else "left", overflow="fold")
    for name in ("no", "reason"):
        reasons.add_column(name, justify="right" if name == "no" else "left", overflow="fold")
    for series, row, rank in zip(study.series, selection.rows, selection.ranks, strict=True):
        number = "" if series.number is None else str(series.number)
        place = f"{rank.place} of {rank.of}" if rank is not None and rank.of > 1 else ""
        answer = "" if not row.used else "yes" if _sound(rank) else "cannot be"
        used = ", ".join(filter(None, (answer, place)))
        cells = (number, row.description, str(row.n_instances), row.geometry, _ROLES[row.role.value], used)
        style = "bold" if row.used else None
        table.add_row(*map(escape, cells), style=style)
        reasons.add_row(f"{number or '?'}:", escape(row.reason), style=style)
    console.print(table)
    console.print(reasons)
