"""`lvo phantom`: write a synthetic study in DICOM, with its truth beside it."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack, cast

import click

from lvo import RESEARCH_USE_ONLY, __version__
from lvo.cli.boundary import GivenPath
from lvo.cli.folders import new_folder
from lvo.errors import UsageError

if TYPE_CHECKING:
    from lvo.dicom.layouts import Layout
    from lvo.dicom.source import SeriesHeader, StudyHeader
    from lvo.synth.study import StudySpec, SyntheticStudy

Kind = Literal["cta", "ctp", "study"]

TRUTH_SCHEMA = "lvo-truth/1"
AGENT = "SYNTHETIC IODINE"
SERIES_OF: dict[Kind, tuple[str, ...]] = {
    "cta": ("cta",),
    "ctp": ("ctp",),
    "study": ("localizer", "ncct", "cta", "ctp", "dose"),
}
"""Which series each kind of phantom has, in the order of scanning."""
DOSE_PAGE = (
    "DOSE REPORT (SYNTHETIC)", "", "1  Topogram", "2  Head plain    CTDIvol 45 mGy", "3  CT angiogram  CTDIvol 12 mGy",
    "4  Perfusion     CTDIvol 180 mGy", "", "No patient was scanned.",
)  # fmt: skip

Tick = Callable[[], None]


class _Options(TypedDict):
    """What describes the head, as typed on the command line."""

    occlusion: str
    seed: int
    collateral: int
    rotation: str
    shift: str
    size: str
    layout: str


@click.command(name="phantom")
@click.argument("kind", type=click.Choice(list(SERIES_OF)))
@click.option("--out", "out_dir", required=True, type=GivenPath(), help="Folder to make: new or empty.")
@click.option("--occlusion", default="none", show_default=True, help="left-M1, right-ICA-T, BA, none, ...")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0), help="Of anatomy, bolus and noise.")
@click.option("--collateral", default=2, show_default=True, type=click.IntRange(0, 3), help="Filling beyond the occlusion.")
@click.option("--rotation", default="0,0,0", show_default=True, help="Degrees about the patient's x, y, z.")
@click.option("--shift", default="0,0,0", show_default=True, help="Millimetres, LPS.")
@click.option("--size", default="full", show_default=True, type=click.Choice(["full", "small"]), help="small is for tests.")
@click.option(
    "--layout",
    default="plain",
    show_default=True,
    metavar="NAME",
    help="How the CT perfusion is stored: ge-cine, siemens-series, canon-enhanced, ...",
)
@click.option("--json", "as_json", is_flag=True, help="Print truth.json on stdout.")
def command(*, kind: str, out_dir: Path, as_json: bool, **options: Unpack[_Options]) -> None:
    """Write a synthetic DICOM study, or only its CT angiogram or CT perfusion, and OUT/truth.json.

    The same options give the same bytes. Nothing in it comes from a patient.
    """
    from lvo.synth.study import SyntheticStudy

    spec = _spec(options)
    layout = _layout(options["layout"])
    names = SERIES_OF[cast("Kind", kind)]
    with new_folder(out_dir) as folder:
        study = SyntheticStudy(spec)
        study.ctp_times_s = layout.slice_times_s(study.ctp_times_s[:, 0], study.ctp_grid.shape_kji[0])
        series = _write_series(study, names, folder, layout)
        truth = _truth_document(study, spec, series)
        (folder / "truth.json").write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps(truth, indent=2))
    else:
        n_images = sum(1 for _ in out_dir.iterdir()) - 1
        click.echo(f"Wrote {n_images} DICOM images of a synthetic head (occlusion: {truth['occlusion']}) to {out_dir}")
        click.echo(f"Truth {out_dir / 'truth.json'}")


def _spec(options: _Options) -> "StudySpec":
    """Check what was typed.

    Raises:
        UsageError: an occlusion nobody knows, or something else than three numbers.
    """
    from lvo.synth.study import Size, StudySpec, parse_occlusion

    return StudySpec(
        seed=options["seed"],
        occlusion=parse_occlusion(options["occlusion"]),
        collateral_grade=options["collateral"],
        rotation_deg=_triple(options["rotation"], "--rotation"),
        shift_mm=_triple(options["shift"], "--shift"),
        size=cast("Size", options["size"]),
    )


def _layout(name: str) -> "Layout":
    """Look up a layout.

    Raises:
        UsageError: there is none of that name.
    """
    from lvo.dicom.layouts import LAYOUTS

    if name not in LAYOUTS:
        msg = f"there is no layout {name!r}; there are {', '.join(LAYOUTS)}"
        raise UsageError(msg)
    return LAYOUTS[name]


def _write_series(study: "SyntheticStudy", names: tuple[str, ...], folder: Path, layout: "Layout") -> dict[str, str]:
    """Draw and write every asked series; returns the UID of each."""
    from lvo.dicom.layouts import write_ctp_layout
    from lvo.dicom.source import StudyHeader, write_ct_series, write_screen_page
    from lvo.synth.study import localizer

    headers = _headers(StudyHeader(seed=study.spec.name))
    n_images = {
        "localizer": 1,
        "ncct": study.ncct_grid.shape_kji[0],
        "cta": study.cta_grid.shape_kji[0],
        "ctp": study.ctp_times_s.size,
        "dose": 1,
    }
    with _progress({headers[name].description: n_images[name] for name in names}) as ticks:

        def tick(name: str) -> Tick:
            return ticks[headers[name].description]

        if "cta" in names:
            cta = study.cta()
            write_ct_series(cta, folder, headers["cta"], on_image=tick("cta"))
            if "localizer" in names:
                write_ct_series(localizer(cta), folder, headers["localizer"], on_image=tick("localizer"))
            del cta
        if "ncct" in names:
            write_ct_series(study.ncct(), folder, headers["ncct"], on_image=tick("ncct"))
        if "ctp" in names:
            write_ctp_layout(study.ctp(), folder, headers["ctp"], layout, on_image=tick("ctp"))
        if "dose" in names:
            write_screen_page(DOSE_PAGE, folder, headers["dose"], on_image=tick("dose"))
    return {name: str(headers[name].series_instance_uid) for name in names}


def _headers(study: "StudyHeader") -> dict[str, "SeriesHeader"]:
    """What each series says about itself."""
    from lvo.dicom.source import SeriesHeader

    return {
        "localizer": SeriesHeader(
            study, 1, "Topogram", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), kernel="SYNTH-TOPO", slice_thickness_mm=1.0
        ),
        "ncct": SeriesHeader(study, 2, "Head plain 5 mm", start_s=60.0, scan_s=12.0),
        "cta": SeriesHeader(study, 3, "CT angiogram head", start_s=240.0, scan_s=3.0, kvp=100.0, contrast_agent=AGENT),
        "ctp": SeriesHeader(study, 4, "CT perfusion", start_s=480.0, kvp=80.0, contrast_agent=AGENT),
        "dose": SeriesHeader(study, 99, "Dose report", start_s=600.0),
    }


def _truth_document(study: "SyntheticStudy", spec: "StudySpec", series: dict[str, str]) -> dict[str, object]:
    """truth.json: how the study was asked for, what a reader should find, and which series is which."""
    from lvo.dicom.source import StudyHeader

    return {
        "schema": TRUTH_SCHEMA,
        "research_use_only": RESEARCH_USE_ONLY,
        "software": {"lvo": __version__},
        "seed": spec.seed,
        "size": spec.size,
        "rotation_deg": list(spec.rotation_deg),
        "shift_mm": list(spec.shift_mm),
        **asdict(study.truth()),
        "study_instance_uid": str(StudyHeader(seed=spec.name).uid("study")),
        "series_instance_uids": series,
    }


def _triple(text: str, option: str) -> tuple[float, float, float]:
    """Three numbers with commas between them.

    Raises:
        UsageError: it is something else.
    """
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError as error:
        msg = f"{option} takes three numbers like 10,-5,0; got {text!r}"
        raise UsageError(msg) from error
    return x, y, z


@contextmanager
def _progress(n_images: dict[str, int]) -> Iterator[dict[str, Tick]]:
    """A bar per series on a terminal, nothing in a pipe; yields what to call after each image."""
    if not sys.stderr.isatty():
        yield {name: lambda: None for name in n_images}
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bars:
        tasks = {name: bars.add_task(name, total=total) for name, total in n_images.items()}
        yield {name: partial(bars.advance, task) for name, task in tasks.items()}
