"""`lvo calibrate`: fit the call on maps of the installed network."""

from pathlib import Path

import click

from lvo.cli.boundary import GivenPath

FIRST_SEED = 5100
"""Of the validation split: neither training, the checkpoint's choice, nor the evaluation sees these heads."""


@click.command(name="calibrate")
@click.option("--model", default="arteries", show_default=True, help="Network whose maps are judged.")
@click.option(
    "--heads", type=click.IntRange(50, 900), default=240, show_default=True, help="Synthetic scans; some more of rare sites."
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--cases", type=GivenPath(), help="File that keeps the measured cases; read again if it is there.")
def command(*, model: str, heads: int, workers: int, cases: Path | None) -> None:
    """Fit the call (the last, logistic step) on synthetic scans, and write it beside the network. Needs lvo[train]."""
    from lvo.train import require_extra

    require_extra()
    import msgspec

    from lvo.infer.call_head import save_call_head
    from lvo.infer.registry import load_model, models_folder
    from lvo.train.call import CallCase, fit_call, fitting_seeds, measure_cases

    network = load_model(model).manifest
    if cases is not None and cases.exists():
        measured = msgspec.json.decode(cases.read_bytes(), type=tuple[CallCase, ...])
    else:
        seeds = fitting_seeds(FIRST_SEED, heads)
        measured = measure_cases(model, seeds, workers=workers, progress=lambda text: click.echo(text, err=True))
        if cases is not None:
            cases.write_bytes(msgspec.json.encode(measured))
    head, quality = fit_call(measured, network=network)
    path = save_call_head(head, models_folder() / model)
    detectors = ", ".join(f"{name} {auc:.3f}" for name, auc in quality.detector_auc.items())
    click.echo(
        f"{quality.n_cases} scans; cross-validated AUC {quality.auc:.3f}, Brier {quality.brier:.3f}; detectors {detectors}\n"
        f"wrote {path}"
    )
