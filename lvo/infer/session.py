"""A model that is ready to run, and the way a volume goes through it. The only place that touches onnxruntime."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvo.config import Precision
from lvo.core.anatomy import ARTERY_TREES
from lvo.core.pose import HeadPose
from lvo.core.volume import Quantity, Volume
from lvo.errors import ModelError
from lvo.infer.manifest import Manifest, read_manifest, verify
from lvo.infer.providers import Device, choose_provider
from lvo.infer.window import IMAGE_CHANNELS, normalize, place_channels, sliding_window

__all__ = ["Model", "open_model", "predict"]

_SPACING_TOLERANCE = 0.02
"""Largest relative difference from the contracted spacing: far below what training varies (5 % scale), above rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A verified model: its manifest and the runtime session behind it."""

    manifest: Manifest
    _session: Any

    @property
    def device(self) -> str:
        """What it runs on, as onnxruntime calls it."""
        return str(self._session.get_providers()[0])

    def run(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (classes, K, J, I) of one window (C, K, J, I) of `IMAGE_CHANNELS`."""
        (output,) = self._session.run(None, {self._session.get_inputs()[0].name: window[np.newaxis]})
        return np.asarray(output[0], dtype=np.float32)


def open_model(folder: Path, *, threads: int = 2, device: Device = "auto", precision: Precision = "float32") -> Model:
    """Load the model of a folder and hold it to its manifest.

    Args:
        folder: holds `model.onnx` and `manifest.toml`.
        threads: processor threads one window may use.
        device: what it runs on.
        precision: of its arithmetic.

    Raises:
        ModelError: the device is not there or has not this precision, a file is missing or altered, or the network's inputs
            and outputs are not what the manifest promises.
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
    providers = choose_provider(device, onnxruntime.get_available_providers(), threads=threads, precision=precision)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except (runtime.Fail, runtime.InvalidProtobuf, runtime.InvalidGraph, runtime.NotImplemented) as error:
        msg = f"model {manifest.name} cannot be opened by onnxruntime {onnxruntime.__version__}; export the model again"
        raise ModelError(msg) from error
    _check_shapes(manifest, session)
    return Model(manifest, session)


def _check_shapes(manifest: Manifest, session: Any) -> None:  # noqa: ANN401 - onnxruntime has no types
    """Refuse a network whose channels are not those of the manifest, or whose windows have one size only."""
    needed = ((1, len(manifest.input.channels)), (1, len(manifest.output.channels)))
    (image,), (probability,) = session.get_inputs(), session.get_outputs()
    found = (tuple(image.shape[:2]), tuple(probability.shape[:2]))
    if found != needed or any(isinstance(size, int) for size in image.shape[2:]):
        msg = (
            f"model {manifest.name} takes {image.shape} and gives {probability.shape}, its manifest needs {needed[0]} and "
            f"{needed[1]} channels and any size of window; export the model again"
        )
        raise ModelError(msg)


def predict(model: Model, volume: Volume, pose: HeadPose, *, mirrored: bool = True) -> dict[str, Volume]:
    """Probability of every vessel class in every voxel.

    Args:
        model: from `load_model`.
        volume: HU on a grid with the contracted spacing whose axes follow the atlas: `HeadPose.crop`, then resampled.
        pose: how the head lies; it tells where in the atlas a voxel is.
        mirrored: look at the mirror image too and take the mean, so that a mirrored scan gets the mirrored map.

    Returns:
        One probability volume per class but the background, on the same grid, keyed by class ("MCA", "vein", "clot", ...), and
        "artery", the sum over the trees.

    Raises:
        ModelError: the volume is not in HU or does not have the contracted spacing.
    """
    contract = model.manifest.input
    _check_input(model.manifest, volume)
    image = np.concatenate([normalize(volume.array, contract.window_hu)[np.newaxis], _place(volume, pose)])
    names = model.manifest.output.channels

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return sliding_window(
            image, model.run, largest_kji=contract.window_kji, multiple=contract.multiple, n_classes=len(names)
        )

    probabilities = run(image)
    if mirrored:
        probabilities = (probabilities + run(image[..., ::-1])[..., ::-1]) / np.float32(2.0)
    found = dict(zip(names[1:], probabilities[1:], strict=True))
    found["artery"] = np.clip(sum(found[tree] for tree in ARTERY_TREES if tree in found), 0.0, 1.0)
    return {name: Volume(array, volume.grid, Quantity.PROBABILITY) for name, array in found.items()}


def _place(volume: Volume, pose: HeadPose) -> NDArray[np.float32]:
    """(3, K, J, I) where voxels lie; the grid follows the atlas, so corner and steps tell it all."""
    shape = volume.grid.shape_kji
    corner, further = pose.to_atlas_mm(volume.grid.to_lps_mm([(0, 0, 0), (1, 1, 1)])).astype(np.float32)
    index = np.moveaxis(np.indices(shape, dtype=np.float32), 0, -1)[..., ::-1]
    return place_channels(corner + index * (further - corner))


def _check_input(manifest: Manifest, volume: Volume) -> None:
    """Refuse a volume that the network was not trained for."""
    if volume.quantity is not Quantity.HU:
        msg = f"model {manifest.name} needs a volume in {Quantity.HU.name}, got {volume.quantity.name}"
        raise ModelError(msg)
    if manifest.input.channels != IMAGE_CHANNELS:
        found, needed = ", ".join(manifest.input.channels), ", ".join(IMAGE_CHANNELS)
        msg = f"model {manifest.name} wants channels {found}, this version has {needed}; export it again"
        raise ModelError(msg)
    spacing_mm = manifest.input.spacing_mm
    if np.abs(volume.grid.spacing_kji_mm / spacing_mm - 1.0).max() > _SPACING_TOLERANCE:
        msg = (
            f"model {manifest.name} needs a spacing of {spacing_mm:g} mm along each axis, "
            f"got {', '.join(f'{s:.3f}' for s in volume.grid.spacing_kji_mm)} mm (k, j, i); resample the volume first"
        )
        raise ModelError(msg)
