"""`lvo train`: render the crops that are missing, then fit the network."""

from pathlib import Path

import click

from lvo.cli.boundary import GivenPath

__all__ = ["command"]


@click.command(name="train", help="Train the artery network on synthetic heads (needs the train extra).")
@click.option("--config", "config_path", type=GivenPath(), required=True, help="Training configuration, TOML.")
@click.option("--out", type=GivenPath(file_okay=False), required=True, help="Folder for checkpoints and logs.")
@click.option("--cache", type=GivenPath(file_okay=False), help="Folder for rendered crops; OUT/crops if omitted.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes that render crops.")
@click.option("--resume", is_flag=True, help="Continue the run in OUT.")
@click.option("--render-only", is_flag=True, help="Render the crops and stop.")
def command(config_path: Path, out: Path, cache: Path | None, workers: int, *, resume: bool, render_only: bool) -> None:
    """Train; every epoch is a line on stderr and a checkpoint in OUT."""
    from lvo.train import require_extra
    from lvo.train.config import load_train_config

    config = load_train_config(config_path)
    require_extra()
    from lvo.train.data import TrainingCrops
    from lvo.train.fit import fit
    from lvo.train.shards import Kind, ensure_crops, load_crop

    data, folder = config.data, cache or out / "crops"
    kinds: tuple[tuple[tuple[int, int], Kind], ...] = (
        (data.validation_seeds, data.kind),
        (data.training_seeds, data.kind),
        (data.tube_seeds, "cubes"),
    )
    validation, box, cubes = (
        ensure_crops(folder, range(*seeds), data, kind, workers=workers, progress=_say) for seeds, kind in kinds
    )
    if render_only:
        return
    crops = TrainingCrops([load_crop(path) for path in box], [load_crop(path) for path in cubes])
    best = fit(config, crops, [load_crop(path) for path in validation], out, resume=resume, progress=_say)
    click.echo(
        f"best: epoch {best.epoch}, {out / 'best.pt'}; next: lvo export --checkpoint {out / 'best.pt'} --name {config.name}"
    )


def _say(line: str) -> None:
    """Progress belongs on stderr."""
    click.echo(line, err=True)
