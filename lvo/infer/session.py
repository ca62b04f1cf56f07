"""A model that is ready to run, and the way a volume goes through it. The only place that touches onnxruntime."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvo.core.volume import Quantity, Volume
from lvo.errors import ModelError
from lvo.infer.manifest import Manifest, read_manifest, verify
from lvo.infer.window import normalize, sliding_window

__all__ = ["Model", "open_model", "predict"]

_SPACING_TOLERANCE = 0.02
"""Largest relative difference from the contracted spacing: far below what training varies (5 % scale), above rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A verified model: its manifest and the runtime session behind it."""

    manifest: Manifest
    _session: Any

    def run(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (C, K, J, I) of one normalised window (K, J, I) of the contracted size."""
        (output,) = self._session.run(None, {self._session.get_inputs()[0].name: window[np.newaxis, np.newaxis]})
        return np.asarray(output[0], dtype=np.float32)


def open_model(folder: Path, *, threads: int = 2) -> Model:
    """Load the model of a folder and hold it to its manifest.

    Args:
        folder: holds `model.onnx` and `manifest.toml`.
        threads: processor threads one window may use.

    Raises:
        ModelError: a file is missing or altered, or the network's inputs and outputs are not what the manifest promises.
    """
    manifest = read_manifest(folder)
    path = verify(folder, manifest)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: the runtime would look up its maker's server; lvo is offline
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (runtime.Fail, runtime.InvalidProtobuf, runtime.InvalidGraph, runtime.NotImplemented) as error:
        msg = f"model {manifest.name} cannot be opened by onnxruntime {onnxruntime.__version__}; export the model again"
        raise ModelError(msg) from error
    _check_shapes(manifest, session)
    return Model(manifest, session)


def _check_shapes(manifest: Manifest, session: Any) -> None:  # noqa: ANN401 - onnxruntime has no types
    """Refuse a network whose tensors are not those of the manifest."""
    patch = list(manifest.input.patch_kji)
    needed = ([[1, 1, *patch]], [[1, len(manifest.output.channels), *patch]])
    found = tuple([list(value.shape) for value in values] for values in (session.get_inputs(), session.get_outputs()))
    if found != needed:
        msg = (
            f"model {manifest.name} has inputs {found[0]} and outputs {found[1]}, "
            f"its manifest needs {needed[0]} and {needed[1]}; export the model again"
        )
        raise ModelError(msg)


def predict(model: Model, volume: Volume) -> dict[str, Volume]:
    """Probability of every vessel class in every voxel.

    Args:
        model: from `load_model`.
        volume: HU on a grid with the contracted spacing whose axes follow the atlas: `HeadPose.crop`, then resampled.

    Returns:
        One probability volume per channel but the background, on the same grid, keyed by channel ("artery", "vein").

    Raises:
        ModelError: the volume is not in HU or does not have the contracted spacing.
    """
    contract = model.manifest.input
    _check_input(model.manifest, volume)
    probabilities = sliding_window(
        normalize(volume.array, contract.window_hu),
        model.run,
        patch_kji=contract.patch_kji,
        n_channels=len(model.manifest.output.channels),
    )
    names = model.manifest.output.channels[1:]
    return {name: Volume(array, volume.grid, Quantity.PROBABILITY) for name, array in zip(names, probabilities, strict=True)}


def _check_input(manifest: Manifest, volume: Volume) -> None:
    """Refuse a volume that the network was not trained for."""
    if volume.quantity is not Quantity.HU:
        msg = f"model {manifest.name} needs a volume in {Quantity.HU.name}, got {volume.quantity.name}"
        raise ModelError(msg)
    needed = manifest.input.spacing_mm
    found = volume.grid.spacing_kji_mm
    if np.abs(found / needed - 1.0).max() > _SPACING_TOLERANCE:
        msg = (
            f"model {manifest.name} needs a spacing of {needed:g} mm along each axis, "
            f"got {', '.join(f'{s:.3f}' for s in found)} mm (k, j, i); resample the volume first"
        )
        raise ModelError(msg)
