"""Weights to start from: a checkpoint, or a shipped model, whose ONNX file is read back into the network.

The export folds every batch norm into the convolution before it. That cannot be undone, and need not be: any mean and variance
of the features give the same function when scale and shift are chosen to fit. With those of the data at hand, training starts
where inference left off; with 0 and 1 the first batch would throw the features out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lvo.errors import ModelError
from lvo.infer.manifest import Manifest, read_manifest, verify
from lvo.infer.registry import models_folder
from lvo.infer.session import open_model
from lvo.infer.window import IMAGE_CHANNELS
from lvo.train.config import DataSettings, NetworkSettings, TrainConfig
from lvo.train.fit import Checkpoint, load_checkpoint, torch_runner
from lvo.train.network import build_network

__all__ = ["load_start", "shipped_network", "unfold_norms"]

PARITY_TOLERANCE = 1e-3
"""As for the export: largest difference in probability that is still the same model."""

_PREFIX = "network."
_FOLDED_BIAS = re.compile(r"^(?P<block>.*)\.conv(?P<number>\d)\.conv\.weight_bias$")
_PROBE_WINDOWS = 2
Arrays = Mapping[str, NDArray[np.float32]]


def load_start(weights: Path, patches: Sequence[torch.Tensor]) -> Checkpoint:
    """What a run starts from.

    Args:
        weights: a checkpoint file, a model's folder, or the name of an installed model.
        patches: (N, 4, P, P, P) batches of what will be trained on; they set the batch norms of a model's network.

    Raises:
        InputError: the file is no checkpoint.
        ModelError: there is no such model, it was altered, or it is none of our networks.
    """
    if weights.is_file() or weights.suffix == ".pt":
        return load_checkpoint(weights)
    folder = weights if weights.is_dir() else models_folder() / weights.name
    manifest = read_manifest(folder)
    network, settings = shipped_network(folder)
    unfold_norms(network, patches)
    config = TrainConfig(name=manifest.name, data=DataSettings(spacing_mm=manifest.input.spacing_mm), network=settings)
    told = f"model {manifest.name} {manifest.version} (sha256 {manifest.sha256[:12]}; {manifest.training.data})"
    return Checkpoint(config, start=told, network=network.state_dict())


def shipped_network(folder: Path) -> tuple[nn.Module, NetworkSettings]:
    """Read an exported model back into a network that gives the same probabilities.

    Args:
        folder: of the model: model.onnx and manifest.toml.

    Returns:
        The network, its batch norms set to do nothing but shift; and its settings.

    Raises:
        ModelError: the file was altered, holds weights that the network has no place for or lacks some, or gives other
            probabilities through torch than through onnxruntime.
    """
    import onnx
    from onnx import numpy_helper

    manifest = read_manifest(folder)
    model = onnx.load(str(verify(folder, manifest)))
    arrays = {
        one.name.removeprefix(_PREFIX): np.array(numpy_helper.to_array(one), dtype=np.float32)
        for one in model.graph.initializer
        if one.name.startswith(_PREFIX)
    }
    settings = _settings(arrays, manifest)
    network = build_network(settings, seed=0).eval()
    _fill(network, arrays, manifest)
    _check(network, folder, settings)
    return network, settings


def _settings(arrays: Arrays, manifest: Manifest) -> NetworkSettings:
    """Sizes of the network, from the shapes of its weights."""
    channels, prefix = [], "coarse.skip_layers"
    while f"{prefix}.downsample.conv1.conv.weight" in arrays:
        channels.append(arrays[f"{prefix}.downsample.conv1.conv.weight"].shape[0])
        prefix += ".next_layer"
    deepest = arrays.get(f"{prefix}.conv1.conv.weight")
    if deepest is None or 2 ** (len(channels) + 1) != manifest.input.multiple:
        msg = f"model {manifest.name} holds none of this version's networks; start from a checkpoint instead"
        raise ModelError(msg)
    return NetworkSettings(
        channels=(*channels, deepest.shape[0]),
        residual=any(".conv3." in name for name in arrays),
        window_hu=manifest.input.window_hu,
        window_kji=manifest.input.window_kji,
    )


def _fill(network: nn.Module, arrays: Arrays, manifest: Manifest) -> None:
    """Put every array where it belongs; what is left over on either side is an error."""
    parameters = dict(network.named_parameters(remove_duplicate=False))
    filled: set[int] = set()
    for module in network.modules():  # the export leaves out a bias that is zero throughout; the parity check knows better
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d) and module.bias is not None:
            nn.init.zeros_(module.bias)
            filled.add(id(module.bias))

    def put(name: str, value: NDArray[np.float32]) -> None:
        target = parameters.get(name)
        if target is None or tuple(target.shape) != value.shape:
            found = "no place" if target is None else f"a place of shape {tuple(target.shape)}"
            msg = f"model {manifest.name}: {name} has shape {value.shape}, the network {found} for it"
            raise ModelError(msg)
        with torch.no_grad():
            target.copy_(torch.from_numpy(value))
        filled.add(id(target))

    for name, value in arrays.items():
        folded = _FOLDED_BIAS.match(name)
        if folded is None:
            put(name, value)
            continue
        norm = network.get_submodule(f"{folded['block']}.norm{folded['number']}")
        put(f"{folded['block']}.norm{folded['number']}.bias", value)
        put(f"{folded['block']}.norm{folded['number']}.weight", np.ones_like(value))
        assert isinstance(norm, nn.BatchNorm3d)  # noqa: S101 - named norm by MONAI, built as batch norm by us
        norm.reset_running_stats()
        assert norm.running_var is not None  # noqa: S101 - ours track it
        norm.running_var.fill_(1.0 - norm.eps)
    lacking = [name for name, parameter in network.named_parameters() if id(parameter) not in filled]
    if lacking:
        msg = f"model {manifest.name} holds no weights for {', '.join(lacking[:3])} ({len(lacking)} in all)"
        raise ModelError(msg)


def _check(network: nn.Module, folder: Path, settings: NetworkSettings) -> None:
    """Refuse a network that does not give what the model gives."""
    model, run = open_model(folder, threads=1, device="cpu"), torch_runner(network)
    rng = np.random.default_rng(0)
    for n in range(1, 1 + _PROBE_WINDOWS):
        sizes = (settings.multiple * (n + axis) for axis in range(3))
        window = rng.uniform(0, 1, (len(IMAGE_CHANNELS), *sizes)).astype(np.float32)
        worst = float(np.abs(run(window) - model.run(window)).max())
        if not worst < PARITY_TOLERANCE:
            msg = f"the weights of model {folder.name} differ by {worst:.2g} in probability from the model itself"
            raise ModelError(msg)


@dataclass(slots=True)
class _Moments:
    """Sums over all voxels seen, per channel."""

    count: int
    total: torch.Tensor
    squares: torch.Tensor

    @classmethod
    def none(cls, n_channels: int) -> "_Moments":
        """Before any voxel."""
        return cls(0, torch.zeros(n_channels, dtype=torch.float64), torch.zeros(n_channels, dtype=torch.float64))

    def add(self, values: torch.Tensor) -> None:
        """Count (channels, voxels) in."""
        self.count += values.shape[1]
        self.total += values.sum(dim=1)
        self.squares += values.square().sum(dim=1)


def unfold_norms(network: nn.Module, patches: Sequence[torch.Tensor]) -> None:
    """Give batch norms the mean and variance that their inputs have on some data, and change their scale and shift to fit.

    In use (eval) the network stays the same function; in training its batches are now normalised by about what it expects.

    Args:
        network: its batch norms are changed in place.
        patches: batches of its input.

    Raises:
        ModelError: there are no patches.
    """
    if not patches:
        msg = "weights of a model need data to set their batch norms: there are no training patches"
        raise ModelError(msg)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm3d)]
    found: dict[nn.Module, _Moments] = {norm: _Moments.none(norm.num_features) for norm in norms}

    def note(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        found[norm].add(inputs[0].detach().double().transpose(0, 1).flatten(1))

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    network.eval()
    with torch.no_grad():
        for batch in patches:
            network(batch)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        mean = found[norm].total / found[norm].count
        _set(norm, mean, (found[norm].squares / found[norm].count - mean.square()).clamp(min=1e-8))


def _set(norm: nn.BatchNorm3d, mean: torch.Tensor, variance: torch.Tensor) -> None:
    """Other statistics, the same function."""
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: S101, PT018 - ours track both
    with torch.no_grad():
        gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        shift = norm.bias.double() - gain * norm.running_mean.double()
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(gain * torch.sqrt(variance + norm.eps))
        norm.bias.copy_(shift + gain * mean)
