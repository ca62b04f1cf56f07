"""`lvo evaluate`: the call on the fixed evaluation set, results against a reference table, or a model card again."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click
from click.core import ParameterSource

from lvo.cli.boundary import GivenPath

if TYPE_CHECKING:
    from typing import Unpack

    from lvo.config import Config
    from lvo.pipeline.records import Models

__all__ = ["command", "parse_cases"]

ROWS_FILE, PICTURES_FOLDER = "rows.jsonl", "failures"
"""Where the rows and the pictures of failures lie in the folder of the report."""

_OPTIONS = {
    "--set": {"model", "config_path", "cases", "first", "workers", "cache", "invariances", "ablations"},
    "--reference": {"results", "prevalence", "per_week"},
    "--reproduce": {"workers", "subset", "against"},
}
"""What each way of evaluating takes beside --out."""


class _Given(TypedDict):
    """The command line."""

    results: Path | None
    which: str | None
    reference: Path | None
    reproduce: Path | None
    out: Path
    model: str | None
    config_path: Path | None
    cases: str | None
    first: int | None
    workers: int
    cache: Path | None
    invariances: int
    ablations: bool
    prevalence: float
    per_week: float
    subset: int | None
    against: Path | None


@click.command(
    name="evaluate",
    help="Judge the fixed evaluation set (--set), compare RESULTS with a reference table (--reference), or recompute the "
    "figures of a model card (--reproduce). Needs the evaluate extra.",
)
@click.argument("results", type=GivenPath(), required=False)
@click.option("--set", "which", type=click.Choice(["cta"]), help="cta: the fixed set of drawn angiograms.")
@click.option("--reference", type=GivenPath(dir_okay=False), help="Reference table (CSV) that RESULTS are compared with.")
@click.option("--reproduce", type=GivenPath(file_okay=False), help="Folder of a model, as models/arteries.")
@click.option("--out", type=GivenPath(file_okay=False), required=True, help="Folder of the report; --set continues one.")
@click.option("--model", help="--set: artery network; that of the settings if omitted.")
@click.option("--config", "config_path", type=GivenPath(), envvar="LVO_CONFIG", help="--set: settings (TOML).")
@click.option("--cases", help="--set: a part of the set, FIRST:LAST or FIRST:LAST:STEP, LAST not included.")
@click.option(
    "--first", type=click.IntRange(1), help="--set: only so many of them, a fair sample; what was stopped is reported."
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="--set, --reproduce: processes.")
@click.option(
    "--cache", type=GivenPath(file_okay=False), help="--set: folder that keeps drawn scans for the next run (8 MB a case)."
)
@click.option("--invariances", type=click.IntRange(0), default=0, help="--set: cases shown in five other ways too.")
@click.option("--ablations", is_flag=True, help="--set: all cases without the mirrored pass of the network too.")
@click.option(
    "--prevalence", type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True), default=0.04, show_default=True,
    help="--reference: share of occlusions among the angiograms of your service.",
)  # fmt: skip
@click.option(
    "--per-week", type=click.FloatRange(0.0, min_open=True), default=25.0, show_default=True,
    help="--reference: its angiograms a week.",
)  # fmt: skip
@click.option("--subset", type=click.IntRange(1), help="--reproduce: only so many scans; quick, and proves only those.")
@click.option("--against", type=GivenPath(dir_okay=False), help="--reproduce: earlier reproduced.json, compared bit for bit.")
@click.pass_context
def command(context: click.Context, **given: "Unpack[_Given]") -> None:
    """Evaluate in one of three ways."""
    mode = _mode(context, given)
    from lvo.evaluate import require_extra

    require_extra()
    if mode == "--set":
        _evaluate_set(given)
    elif mode == "--reference":
        from lvo.cli.evaluate_reference import evaluate_reference

        results, table = given["results"], given["reference"]
        if results is None or table is None:
            msg = "--reference needs RESULTS: a folder of result folders, or the table of `lvo batch`"
            raise click.UsageError(msg)
        evaluate_reference(results, table, given["out"], prevalence=given["prevalence"], per_week=given["per_week"])
    elif given["reproduce"] is not None:
        from lvo.cli.evaluate_reproduce import evaluate_reproduce

        folder, out = given["reproduce"], given["out"]
        status = evaluate_reproduce(folder, out, subset=given["subset"], against=given["against"], workers=given["workers"])
        context.exit(status)


def _mode(context: click.Context, given: _Given) -> str:
    """The one way that is asked for.

    Raises:
        click.UsageError: none or several, or an option of another way.
    """
    ways = {"--set": given["which"], "--reference": given["reference"], "--reproduce": given["reproduce"]}
    asked = [name for name, value in ways.items() if value is not None]
    if len(asked) != 1:
        msg = f"give one of --set, --reference and --reproduce, got {' and '.join(asked) or 'none'}"
        raise click.UsageError(msg)
    allowed = _OPTIONS[asked[0]] | {"which", "reference", "reproduce", "out"}
    typed = {name for name in given if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    strange = sorted(typed - allowed)
    if strange:
        name = {"config_path": "--config", "results": "RESULTS"}.get(strange[0], "--" + strange[0].replace("_", "-"))
        msg = f"{name} does not go with {asked[0]}"
        raise click.UsageError(msg)
    return asked[0]


def _evaluate_set(given: _Given) -> None:
    """Judge the set; a run that was stopped goes on from there when it is called again."""
    import msgspec

    from lvo.config import load_config
    from lvo.evaluate.bench import Setup
    from lvo.evaluate.records import RowFile
    from lvo.evaluate.report import About, write_report
    from lvo.evaluate.run import balanced, evaluate_cases, tasks
    from lvo.synth.cases import evaluation_set

    everything, out, workers = evaluation_set(), given["out"], given["workers"]
    seeds = everything if given["cases"] is None else parse_cases(given["cases"], everything)
    config = load_config(given["config_path"])
    if given["model"] is not None:
        config = msgspec.structs.replace(config, cta=msgspec.structs.replace(config.cta, model=given["model"]))
    threads = max(1, (os.cpu_count() or 1) // workers)
    setup = Setup(config, partial(_load_models, threads), given["cache"], out / PICTURES_FOLDER)
    sample = balanced(seeds)[: given["first"]]
    work = tasks(sample, invariances=given["invariances"], ablations=given["ablations"])
    bench, rows = evaluate_cases(
        setup, work, RowFile(out / ROWS_FILE), workers=workers, progress=lambda text: click.echo(text, err=True)
    )
    about = About(bench.models.used(), config.sha256, bench.key, config.cta.suspected_probability, len(everything), len(sample))
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
