"""`lvo calibrate`: fit the call on maps of the installed network."""

from pathlib import Path

import click

from lvo.cli.boundary import GivenPath

FIRST_SEED = 2000
"""Seeds 2000 to 2999 belong to the call: neither the network nor the tests see those heads."""


@click.command(name="calibrate")
@click.option("--model", default="arteries", show_default=True, help="Network whose maps are judged.")
@click.option("--heads", type=click.IntRange(50, 1000), default=200, show_default=True, help="How many synthetic heads.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--cases", type=GivenPath(), help="File that keeps the measured cases; read again if it is there.")
def command(*, model: str, heads: int, workers: int, cases: Path | None) -> None:
    """Fit the call (the last, logistic step) on synthetic heads, and write it beside the network. Needs lvo[train]."""
    from lvo.train import require_extra

    require_extra()
    import msgspec

    from lvo.infer.call_head import save_call_head
    from lvo.infer.registry import load_model, models_folder
    from lvo.train.call import CallCase, fit_call, measure_cases

    network = load_model(model).manifest
    if cases is not None and cases.exists():
        measured = msgspec.json.decode(cases.read_bytes(), type=tuple[CallCase, ...])
    else:
        seeds = range(FIRST_SEED, FIRST_SEED + heads)
        measured = measure_cases(model, seeds, workers=workers, progress=lambda text: click.echo(text, err=True))
        if cases is not None:
            cases.write_bytes(msgspec.json.encode(measured))
    head, quality = fit_call(measured, network=network)
    path = save_call_head(head, models_folder() / model)
    click.echo(
        f"{quality.n_cases} heads; cross-validated: hemisphere AUC {quality.hemisphere_auc:.3f}, "
        f"Brier {quality.hemisphere_brier:.3f}, basilar AUC {quality.basilar_auc:.3f}\nwrote {path}"
    )
