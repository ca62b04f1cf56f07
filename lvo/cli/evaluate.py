"""`lvo evaluate`: the call on the fixed evaluation set, and its report."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lvo.cli.boundary import GivenPath

if TYPE_CHECKING:
    from lvo.config import Config
    from lvo.pipeline.records import Models

__all__ = ["command", "parse_cases"]

ROWS_FILE, PICTURES_FOLDER = "rows.jsonl", "failures"
"""Where the rows and the pictures of failures lie in the folder of the report."""


@click.command(name="evaluate", help="Judge the fixed evaluation set and report every figure (needs the evaluate extra).")
@click.option(
    "--set",
    "which",
    type=click.Choice(["cta"]),
    required=True,
    expose_value=False,
    help="cta: the fixed set of drawn angiograms.",
)
@click.option("--out", type=GivenPath(file_okay=False), required=True, help="Folder for rows and report; continued if there.")
@click.option("--model", help="Artery network; that of the settings if omitted.")
@click.option("--config", "config_path", type=GivenPath(), envvar="LVO_CONFIG", help="Settings (TOML).")
@click.option("--cases", help="A part of the set: FIRST:LAST or FIRST:LAST:STEP, LAST not included.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--cache", type=GivenPath(file_okay=False), help="Folder that keeps drawn scans for the next run (8 MB a case).")
@click.option("--invariances", type=click.IntRange(0), default=0, show_default=True, help="Cases shown in five other ways too.")
@click.option("--ablations", is_flag=True, help="Judge all cases without the mirrored pass of the network too.")
def command(
    *,
    out: Path,
    model: str | None,
    config_path: Path | None,
    cases: str | None,
    workers: int,
    cache: Path | None,
    invariances: int,
    ablations: bool,
) -> None:
    """Evaluate; a run that was stopped goes on from there when it is called again."""
    from lvo.evaluate import require_extra

    require_extra()
    import msgspec

    from lvo.config import load_config
    from lvo.evaluate.bench import Setup
    from lvo.evaluate.records import RowFile
    from lvo.evaluate.report import About, write_report
    from lvo.evaluate.run import balanced, evaluate_cases, tasks
    from lvo.synth.cases import evaluation_set

    everything = evaluation_set()
    seeds = everything if cases is None else parse_cases(cases, everything)
    config = load_config(config_path)
    if model is not None:
        config = msgspec.structs.replace(config, cta=msgspec.structs.replace(config.cta, model=model))
    threads = max(1, (os.cpu_count() or 1) // workers)
    setup = Setup(config, partial(_load_models, threads), cache, out / PICTURES_FOLDER)
    work = tasks(balanced(seeds), invariances=invariances, ablations=ablations)
    bench, rows = evaluate_cases(
        setup, work, RowFile(out / ROWS_FILE), workers=workers, progress=lambda text: click.echo(text, err=True)
    )
    about = About(bench.models.used(), config.sha256, bench.key, config.cta.suspected_probability, len(everything), len(seeds))
    click.echo(
        write_report(rows, about, out, pictures=out / PICTURES_FOLDER).read_text(encoding="utf-8").split("## Operating")[0]
    )
    click.echo(f"all of it: {out / 'report.html'}")


def _load_models(threads: int, config: "Config") -> "Models":
    """The models of the settings on so many threads; the settings themselves, whose hash results carry, stay what they are."""
    import msgspec

    from lvo.run import load_models

    return load_models(msgspec.structs.replace(config, runtime=msgspec.structs.replace(config.runtime, threads=threads)))


def parse_cases(text: str, everything: range) -> range:
    """Read a part of the set.

    Args:
        text: FIRST:LAST or FIRST:LAST:STEP, LAST not included.
        everything: the cases that there are.

    Raises:
        click.BadParameter: the text is something else, or leaves the set.
    """
    parts = text.split(":")
    if len(parts) not in {2, 3} or not all(part.isdecimal() for part in parts):
        msg = f"cases must be FIRST:LAST or FIRST:LAST:STEP, got {text!r}"
        raise click.BadParameter(msg, param_hint="--cases")
    first, last, step = (*map(int, parts), 1)[:3]
    if not everything.start <= first < last <= everything.stop or step < 1:
        msg = f"the set has {everything.start}:{everything.stop}, got {text!r}"
        raise click.BadParameter(msg, param_hint="--cases")
    return range(first, last, step)
