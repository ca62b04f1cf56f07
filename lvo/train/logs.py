"""Where the figures of a run go beside its checkpoints: TensorBoard, and MLflow where asked for. Both stay on this machine."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import msgspec

from lvo.errors import UsageError
from lvo.train.baseline.config import BaselineConfig
from lvo.train.config import TrainConfig

__all__ = ["Log", "open_log"]

Log = Callable[[Mapping[str, float], int], None]
"""Takes figures by name, and the step they belong to."""


@contextmanager
def open_log(out: Path, config: TrainConfig | BaselineConfig, *, leads: bool = True) -> Iterator[Log]:
    """Open the logs of a run.

    Args:
        out: its folder; TensorBoard's files lie in `tensorboard`, those of MLflow in `mlflow` unless MLFLOW_TRACKING_URI names
            another place.
        config: of the run.
        leads: False for the other processes of a team, which write nothing.

    Raises:
        UsageError: MLflow is asked for and not installed.
    """
    if not leads:
        yield lambda _figures, _step: None
        return
    if isinstance(config.fit.mlflow, str) and find_spec("mlflow") is None:
        msg = "[fit] mlflow needs MLflow: pip install 'lvo[mlflow]', or leave the key out"
        raise UsageError(msg)
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(out / "tensorboard")) as board, _mlflow(out, config) as further:

        def write(figures: Mapping[str, float], step: int) -> None:
            for name, value in figures.items():
                board.add_scalar(name, value, step)
            further(figures, step)

        yield write


@contextmanager
def _mlflow(out: Path, config: TrainConfig | BaselineConfig) -> Iterator[Log]:
    """MLflow's run, or nothing."""
    if not isinstance(config.fit.mlflow, str):
        yield lambda _figures, _step: None
        return
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before the import: lvo is offline
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # a folder is enough for one run; no server is wanted
    import mlflow

    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri((out / "mlflow").resolve().as_uri())
    mlflow.set_experiment(config.fit.mlflow)
    with mlflow.start_run(run_name=config.name):
        mlflow.log_params({"config_sha256": config.sha256, **_flat(msgspec.to_builtins(config))})
        yield lambda figures, step: mlflow.log_metrics(dict(figures), step=step)


def _flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested keys joined by dots."""
    out: dict[str, object] = {}
    for key, value in values.items():
        out.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": str(value)[:500]})
    return out
