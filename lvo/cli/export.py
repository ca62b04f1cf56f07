"""`lvo export`: turn a checkpoint into a checked ONNX model with manifest and card."""

from pathlib import Path

import click

from lvo.cli.boundary import GivenPath

__all__ = ["command"]


@click.command(name="export", help="Turn a trained network into a checked ONNX model (needs the train extra).")
@click.option("--checkpoint", type=GivenPath(dir_okay=False), help="best.pt of `lvo train`; an exported model if omitted.")
@click.option("--name", required=True, help="Name of the model, e.g. arteries.")
@click.option("--out", type=GivenPath(file_okay=False), default=Path("models"), show_default=True)
@click.option("--bundle", type=GivenPath(file_okay=False), help="Folder for the same model as a MONAI Bundle.")
def command(checkpoint: Path | None, name: str, out: Path, bundle: Path | None) -> None:
    """Export; refuses a model that does not give in onnxruntime what it gave in torch."""
    if checkpoint is None and bundle is None:
        msg = "give --checkpoint to export a trained network, --bundle to write a MONAI Bundle, or both"
        raise click.UsageError(msg)
    from lvo.train import require_extra

    require_extra()
    if checkpoint is not None:
        from lvo.train.export import export_model
        from lvo.train.fit import load_checkpoint

        manifest = export_model(load_checkpoint(checkpoint), name, out)
        click.echo(f"{out / name}: version {manifest.version}, sha256 {manifest.sha256}")
        for metric, value in sorted(manifest.metrics.items()):
            click.echo(f"  {metric} {value:.4g}")
    if bundle is not None:
        from lvo.train.bundle import export_bundle

        click.echo(f"bundle {export_bundle(out / name, bundle)}")
