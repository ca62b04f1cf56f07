"""`lvo calibrate`: fit the call on maps of the installed network, or only its last two numbers on local cases."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from lvo.cli.boundary import GivenPath

if TYPE_CHECKING:
    from lvo.train.call_config import CallConfig
    from lvo.train.datasets.manifest import Split


@click.command(name="calibrate")
@click.option("--config", "config_path", type=GivenPath(dir_okay=False), help="TOML: network, cases, penalty.")
@click.option("--model", default="arteries", show_default=True, help="Network whose maps are judged.")
@click.option(
    "--heads", type=click.IntRange(50, 900), default=240, show_default=True, help="Synthetic scans; some more of rare sites."
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--cases", type=GivenPath(), help="File that keeps the measured cases; read again if it is there.")
@click.option("--manifest", "manifests", type=GivenPath(dir_okay=False), multiple=True, help="Local cases: lvo data index.")
@click.option(
    "--split", "splits", type=click.Choice(["training", "validation", "test"]), multiple=True,
    default=("training", "validation"), show_default=True, help="Which of the local cases; not those a network learnt from.",
)  # fmt: skip
@click.option("--out", type=GivenPath(file_okay=False), help="New folder for the call; the network's if omitted.")
def command(
    *, config_path: Path | None, model: str, heads: int, workers: int, cases: Path | None, manifests: tuple[Path, ...],
    splits: tuple["Split", ...], out: Path | None,
) -> None:  # fmt: skip
    """Fit the call (the last, logistic step) on synthetic scans, and write it beside the network. Needs lvo[train].

    --config says on which scans, synthetic or of a manifest, and how, instead of --model and --heads; it is kept beside it.

    With --manifest and --out only its last two numbers are fitted, on 10 to 50 local cases with and without an occlusion; OUT
    then holds call.json, a report of before and after, and the judged cases, and the installed call stays as it is.
    """
    from lvo.train import require_extra

    require_extra()
    if manifests:
        if out is None:
            msg = "--manifest and --out go together: local cases, and where the recalibrated call goes"
            raise click.UsageError(msg)
        if config_path is not None:
            msg = "--manifest recalibrates; to fit on scans of a manifest, name it in the configuration"
            raise click.UsageError(msg)
        _recalibrate(model, manifests, splits, out)
        return
    from lvo.train.call_config import CallConfig, SyntheticCases, load_call_config

    if config_path is None:
        config = CallConfig(network=model, synthetic=SyntheticCases(heads=heads))
    else:
        _refuse_beside_configuration("model", "heads")
        config = load_call_config(config_path)
    _calibrate(config, workers, cases, out)


def _refuse_beside_configuration(*names: str) -> None:
    """Refuse options whose values the configuration names; their defaults do no harm."""
    source = click.get_current_context().get_parameter_source
    given = " and ".join(f"--{name}" for name in names if source(name) is not ParameterSource.DEFAULT)
    if given:
        msg = f"--config and {given} do not go together: the configuration names network and heads"
        raise click.UsageError(msg)


def _calibrate(config: "CallConfig", workers: int, cases: Path | None, out: Path | None) -> None:
    """Fit everything."""
    from lvo.cli.folders import new_folder
    from lvo.infer.registry import models_folder
    from lvo.train.call_cases import gather, keep_call, keep_cases, make_call, open_network, read_cases

    model = open_network(config.network, config.precision)
    place: AbstractContextManager[Path] = nullcontext(models_folder() / config.network) if out is None else new_folder(out)
    with place as folder:
        if cases is not None and cases.exists():
            gathered = read_cases(cases, config, model.manifest)
        else:
            gathered = gather(config, model, workers=workers, progress=_say)
            if cases is not None:
                keep_cases(cases, gathered, config, model.manifest)
        head, quality = make_call(config, gathered, model.manifest)
        path = keep_call(head, quality, config, model.manifest, folder)
    detectors = ", ".join(f"{name} {auc:.3f}" for name, auc in quality.detector_auc.items())
    for subject, why in gathered.left_out:
        _say(f"not used: {subject} {why}")
    click.echo(
        f"{quality.n_cases} scans; cross-validated AUC {quality.auc:.3f}, Brier {quality.brier:.3f}; detectors {detectors}\n"
        f"wrote {path if out is None else out / path.name}"
    )


def _recalibrate(name: str, manifests: tuple[Path, ...], splits: tuple["Split", ...], out: Path) -> None:
    """Fit slope and intercept on local cases."""
    import msgspec

    from lvo.cli.folders import new_folder
    from lvo.infer.call_head import load_call_head, save_call_head
    from lvo.infer.registry import load_model
    from lvo.train.local_cases import measure_local
    from lvo.train.manifest_data import read_sources
    from lvo.train.recalibrate import compare, recalibrated
    from lvo.train.recalibration_report import lines, page, reliability_picture

    model = load_model(name)
    head = load_call_head(model.manifest)
    sources = read_sources(manifests)
    measured = measure_local(sources, splits, model, head, progress=_say)
    found = compare(measured.cases)
    data = " and ".join(source.manifest.title for source in sources)
    with new_folder(out) as folder:
        save_call_head(recalibrated(head, found, data), folder)
        picture = reliability_picture(found)
        (folder / "reliability.png").write_bytes(picture)
        (folder / "report.html").write_text(page(found, data, measured.left_out, picture), encoding="utf-8")
        (folder / "cases.json").write_bytes(msgspec.json.format(msgspec.json.encode(measured.cases)))
    click.echo(f"{found.n} cases, {found.n_occluded} with an occlusion; {len(measured.left_out)} not used")
    for what, before, after in lines(found):
        click.echo(f"{what}: {before or '-'} before, {after} after")
    click.echo(f"To use it, copy {out / 'call.json'} into the folder of model {name}. Page  {out / 'report.html'}")


def _say(line: str) -> None:
    """Progress belongs on stderr."""
    click.echo(line, err=True)
