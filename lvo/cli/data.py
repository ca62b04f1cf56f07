"""`lvo data`: look through a data set, and make its manifest."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from lvo.cli.boundary import GivenPath

if TYPE_CHECKING:
    from typing import Unpack

    from lvo.train.datasets.angiogram import Angiogram
    from lvo.train.datasets.check import Survey

__all__ = ["command"]


class _Shares(TypedDict):
    """How patients are shared out, as `SplitPlan` takes it."""

    validation: float
    test: float
    test_centres: tuple[str, ...]
    seed: int


_angiogram = click.option(
    "--angiogram", type=click.Choice(["peak", "mip"]),
    help="Make angiograms of perfusion scans: frame of the arterial peak, or maximum over time.",
)  # fmt: skip


@click.group(name="data")
def command() -> None:
    """Look through public or local data sets, and index them for training and evaluation."""


@command.command(name="list")
def list_sets() -> None:
    """Name the data sets that are understood, with their licences."""
    from lvo.train.datasets import DATA_SETS

    for one in DATA_SETS.values():
        click.echo(f"{one.name:12} {one.title}. Licence: {one.licence}. {one.source}.")


@command.command(name="check")
@click.argument("name")
@click.argument("folder", metavar="DIR", type=GivenPath(file_okay=False))
@click.option("--out", type=GivenPath(file_okay=False), help="New folder for check.html and sheet.png.")
@click.option("--quick", is_flag=True, help="Headers only: no values, no pictures.")
@_angiogram
def check(*, name: str, folder: Path, out: Path | None, quick: bool, angiogram: "Angiogram | None") -> None:
    """Say what is there of data set NAME in DIR, what is missing or inconsistent, and which defects are known.

    NAME is one of `lvo data list`. Nothing in DIR is changed.
    """
    from lvo.cli.folders import new_folder
    from lvo.train.datasets import data_set
    from lvo.train.datasets.check import survey
    from lvo.train.datasets.sheet import contact_sheet, page

    place: AbstractContextManager[Path | None] = nullcontext() if out is None else new_folder(out)
    with place as made:  # before the survey, which may take hours
        found = survey(data_set(name), folder, values=not quick, angiogram=angiogram or "", progress=_say)
        _show(found)
        if made is not None:
            sheet = contact_sheet(found)
            if sheet is not None:
                (made / "sheet.png").write_bytes(sheet)
            (made / "check.html").write_text(page(found, sheet), encoding="utf-8")
    if out is not None:
        click.echo(f"Page  {out / 'check.html'}")


def _show(found: "Survey") -> None:
    from lvo.train.datasets.record import Level
    from lvo.train.datasets.sheet import counts

    click.echo(f"{found.data_set.title}. Licence: {found.data_set.licence}.")
    for what, many in counts(found):
        click.echo(f"  {what}: {many}")
    for issue in sorted(
        (*(i for one in found.checked for i in one.issues), *found.issues), key=lambda i: list(Level).index(i.level)
    ):
        known = f" (known: {issue.known})" if issue.known else ""
        click.echo(f"{issue.level:8} {issue.subject or 'all'}: {issue.text}{known}")
    for note in found.data_set.notes:
        click.echo(f"note     {note}")


@command.command(name="index")
@click.argument("name")
@click.argument("folder", metavar="DIR", type=GivenPath(file_okay=False))
@click.option("--out", required=True, type=GivenPath(dir_okay=False), help="Manifest to write, JSON.")
@click.option("--validation", type=click.FloatRange(0.0, 0.9), default=0.2, show_default=True, help="Share of the patients.")
@click.option("--test", type=click.FloatRange(0.0, 0.9), default=0.0, show_default=True, help="Share of the patients.")
@click.option("--test-centre", "test_centres", multiple=True, help="Centre that is for the test as a whole; may be repeated.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another one gives another split.")
@click.option("--like", type=GivenPath(dir_okay=False), multiple=True, help="Manifest whose patients keep their split.")
@_angiogram
def index(
    *, name: str, folder: Path, out: Path, like: tuple[Path, ...], angiogram: "Angiogram | None", **shares: "Unpack[_Shares]"
) -> None:
    """Write one manifest of data set NAME in DIR: images, labels, side, site, centre, split, licence, hashes.

    No patient is in two splits; scans that cannot be used are listed as left out, with the reason.
    """
    from collections import Counter

    from lvo.train.datasets import data_set
    from lvo.train.datasets.check import survey
    from lvo.train.datasets.index import SplitPlan, build_manifest
    from lvo.train.datasets.manifest import read_data_manifest, write_data_manifest
    from lvo.train.datasets.record import Level

    plan = SplitPlan(**shares)
    others = [read_data_manifest(path)[0] for path in like]
    found = survey(data_set(name), folder, hashes=True, angiogram=angiogram or "", progress=_say)
    manifest = build_manifest(found, out, plan, like=others)
    write_data_manifest(manifest, out)
    tally = Counter(entry.split for entry in manifest.entries)
    click.echo(f"{out}: {', '.join(f'{split} {n}' for split, n in sorted(tally.items()))}. Licence: {manifest.licence}.")
    for issue in found.issues:
        if issue.level is Level.ERROR:
            click.echo(f"{issue.level} {issue.subject or 'all'}: {issue.text}")
    for entry in manifest.entries:
        if entry.split == "left out":
            click.echo(f"left out {entry.subject}: {entry.why}")


def _say(line: str) -> None:
    """Progress belongs on stderr."""
    click.echo(line, err=True)


@command.command(name="miniature")
@click.option("--out", required=True, type=GivenPath(file_okay=False), help="Folder to make: new or empty.")
@click.option("--subjects", type=click.IntRange(1, 40), default=4, show_default=True)
def miniature(*, out: Path, subjects: int) -> None:
    """Write a small ISLES 2024 of synthetic heads, to try data sets, training and calibration without any data."""
    from lvo.train.datasets.miniature import write_isles24

    write_isles24(out, subjects=subjects)
    click.echo(f"{subjects} synthetic subjects in the layout of ISLES 2024: {out}")
