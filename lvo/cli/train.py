"""`lvo train`: prepare what is learnt from, then fit the network."""

from pathlib import Path

import click

from lvo.cli.boundary import GivenPath

__all__ = ["command"]


@click.command(
    name="train", help="Train the artery network or a baseline on synthetic heads or indexed scans (needs the train extra)."
)
@click.option("--config", "config_path", type=GivenPath(), required=True, help="Training configuration, TOML.")
@click.option("--out", type=GivenPath(file_okay=False), required=True, help="Folder for checkpoints and logs.")
@click.option("--cache", type=GivenPath(file_okay=False), help="Folder for crops; OUT/crops if omitted.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes that render crops.")
@click.option("--resume", is_flag=True, help="Continue the run in OUT.")
@click.option(
    "--weights", type=GivenPath(), help="First weights: a checkpoint, or a model by name or folder; random ones if omitted."
)
@click.option("--render-only", is_flag=True, help="Render and register the crops and stop.")
def command(
    config_path: Path, out: Path, cache: Path | None, workers: int, weights: Path | None, *, resume: bool, render_only: bool
) -> None:
    """Train; every epoch is a line on stderr and a checkpoint in OUT."""
    from lvo.train import require_extra
    from lvo.train.baseline.config import is_baseline
    from lvo.train.config import load_train_config

    if is_baseline(config_path):
        if weights is not None:
            msg = "--weights does not go with a baseline, which starts from random ones"
            raise click.UsageError(msg)
        require_extra()
        _baseline(config_path, out, cache or out / "crops", workers, resume=resume, render_only=render_only)
        return
    config = load_train_config(config_path)
    require_extra()
    from lvo.train.fit import fit
    from lvo.train.prepare import first_weights, prepare

    prepared = prepare(config, cache or out / "crops", workers=workers, progress=_say)
    if render_only:
        return
    first = None if weights is None else first_weights(weights, prepared)
    best = fit(prepared.config, prepared.training, prepared.validation, out, resume=resume, start=first, progress=_say)
    click.echo(
        f"best: epoch {best.epoch}, {out / 'best.pt'}; next: lvo export --checkpoint {out / 'best.pt'} --name {config.name}"
    )


def _baseline(config_path: Path, out: Path, cache: Path, workers: int, *, resume: bool, render_only: bool) -> None:
    """Train a baseline, and judge it on scans that neither taught it nor chose its checkpoint."""
    from lvo.train.baseline.config import load_baseline_config
    from lvo.train.baseline.data import gather_examples
    from lvo.train.baseline.fit import fit_baseline
    from lvo.train.baseline.predict import write_tables
    from lvo.train.team import join_team

    config = load_baseline_config(config_path)
    examples = gather_examples(config, cache, workers=workers, progress=_say)
    for subject, why in examples.left_out:
        _say(f"not used: {subject} {why}")
    if render_only:
        return
    best = fit_baseline(config, examples, out, resume=resume, progress=_say)
    if not join_team().leads:
        return
    click.echo(f"best: epoch {best.epoch}, {out / 'best.pt'}; a baseline, which no command installs")
    if examples.judged:
        results, reference = write_tables(best, examples.judged, out)
        click.echo(f"next: lvo evaluate {results} --reference {reference} --out {out / 'report'}")


def _say(line: str) -> None:
    """Progress belongs on stderr."""
    click.echo(line, err=True)
