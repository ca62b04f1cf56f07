"""`lvo export`: turn a checkpoint into a checked ONNX model with manifest and card."""

from pathlib import Path

import click

from lvo.cli.boundary import GivenPath

__all__ = ["command"]


@click.command(name="export", help="Turn a trained network into a checked ONNX model (needs the train extra).")
@click.option("--checkpoint", type=GivenPath(dir_okay=False), required=True, help="best.pt of `lvo train`.")
@click.option("--name", required=True, help="Name of the model, e.g. arteries.")
@click.option("--out", type=GivenPath(file_okay=False), default=Path("models"), show_default=True)
def command(checkpoint: Path, name: str, out: Path) -> None:
    """Export; refuses a model that does not give in onnxruntime what it gave in torch."""
    from lvo.train import require_extra

    require_extra()
    from lvo.train.export import export_model
    from lvo.train.fit import load_checkpoint

    manifest = export_model(load_checkpoint(checkpoint), name, out)
    click.echo(f"{out / name}: version {manifest.version}, sha256 {manifest.sha256}")
    for metric, value in sorted(manifest.metrics.items()):
        click.echo(f"  {metric} {value:.4g}")
