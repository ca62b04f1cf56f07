"""From checkpoint to shipped model: ONNX, manifest and card, checked against torch through the code that will run it."""

import logging
import shutil
import tempfile
import warnings
from pathlib import Path

import msgspec
import numpy as np
import torch

import lvo
from lvo.core.anatomy import VESSEL_CLASSES
from lvo.durable import sha256_of
from lvo.errors import ModelError, OutputError
from lvo.infer.manifest import (
    INPUT_FRAME,
    MANIFEST_FILE,
    MODEL_FILE,
    SCHEMA,
    InputContract,
    Manifest,
    OutputContract,
    TrainingRecord,
    manifest_toml,
)
from lvo.infer.session import open_model
from lvo.infer.window import IMAGE_CHANNELS
from lvo.train.config import ManifestSettings, TrainConfig
from lvo.train.fit import Checkpoint, crop_image, torch_runner
from lvo.train.network import WithSoftmax, build_network, count_parameters
from lvo.train.shards import render_crop

__all__ = ["CARD_FILE", "MAX_BYTES", "PARITY_TOLERANCE", "export_model"]

CARD_FILE = "CARD.md"
PARITY_TOLERANCE = 1e-3
"""Largest difference in probability between torch and onnxruntime that is still the same model."""

MAX_BYTES = 40_000_000
_PARITY_WINDOWS = 3
_OPSET = 18


def export_model(checkpoint: Checkpoint, name: str, models: Path) -> Manifest:
    """Write `models/<name>/` with model.onnx, manifest.toml and CARD.md; a folder of that name is replaced at the end.

    Args:
        checkpoint: from `load_checkpoint`.
        name: of the model.
        models: folder of models.

    Raises:
        ModelError: torch and onnxruntime disagree by more than `PARITY_TOLERANCE`, or the file is larger than `MAX_BYTES`.
        OutputError: the folder cannot be written.
    """
    network = build_network(checkpoint.config.network, seed=0)
    network.load_state_dict(checkpoint.network)
    try:
        models.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=models, prefix=".export-") as temporary:
            folder = Path(temporary) / name
            folder.mkdir()
            _write_onnx(network, checkpoint.config, folder / MODEL_FILE)
            manifest = _manifest(checkpoint, name, folder / MODEL_FILE, count_parameters(network))
            (folder / MANIFEST_FILE).write_text(manifest_toml(manifest), encoding="utf-8")
            parity = _check_parity(network, checkpoint.config, folder)
            manifest = msgspec.structs.replace(manifest, metrics={**manifest.metrics, "parity_max_difference": parity})
            (folder / MANIFEST_FILE).write_text(manifest_toml(manifest), encoding="utf-8")
            (folder / CARD_FILE).write_text(_card(manifest), encoding="utf-8")
            _replace(folder, models / name)
    except OSError as error:
        msg = f"model {name} cannot be written to {models}: {error.strerror}"
        raise OutputError(msg) from error
    return manifest


def _replace(folder: Path, target: Path) -> None:
    """Put the finished folder in place of an old one."""
    if target.exists():
        shutil.rmtree(target)
    folder.replace(target)


def _write_onnx(network: torch.nn.Module, config: TrainConfig, path: Path) -> None:
    """Trace the network for windows of any size, and strip what tells where it was made.

    Raises:
        ModelError: the file is too large to ship.
    """
    import onnx

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that operators nobody uses are missing
    multiple = config.network.multiple
    example = torch.zeros(1, len(IMAGE_CHANNELS), *(multiple * n for n in (4, 5, 6)))
    steps = [torch.export.Dim(f"{name}_steps", min=1, max=512 // multiple) for name in "kji"]
    sizes = {axis: multiple * step for axis, step in enumerate(steps, start=2)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's exporter warns about torch's own internals
        program = torch.onnx.export(
            WithSoftmax(network).eval(),
            (example,),
            input_names=["image"],
            output_names=["probability"],
            dynamic_shapes=(sizes,),
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        msg = "torch gave no ONNX program; the export needs torch 2.5 or newer with onnxscript"
        raise ModelError(msg)
    model = program.model_proto
    del model.metadata_props[:]
    for part in (model.graph, *model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    for value in model.graph.value_info:
        value.doc_string = ""
        del value.metadata_props[:]
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
    if path.stat().st_size > MAX_BYTES:
        msg = f"{path.name} has {path.stat().st_size} bytes, {MAX_BYTES} at most can be shipped; use fewer channels"
        raise ModelError(msg)


def _manifest(checkpoint: Checkpoint, name: str, path: Path, n_parameters: int) -> Manifest:
    """What the model promises."""
    config = checkpoint.config
    return Manifest(
        schema=SCHEMA,
        name=name,
        version=f"{lvo.__version__}+{config.sha256[:8]}.{checkpoint.step}",
        sha256=sha256_of(path),
        input=InputContract(
            frame=INPUT_FRAME,
            channels=IMAGE_CHANNELS,
            spacing_mm=config.data.spacing_mm,
            window_hu=config.network.window_hu,
            window_kji=config.network.window_kji,
            multiple=config.network.multiple,
            opset=_OPSET,
        ),
        output=OutputContract(channels=VESSEL_CLASSES),
        training=TrainingRecord(
            config_sha256=config.sha256,
            data="; ".join(filter(None, (_describe(config), checkpoint.start))),
            training_seeds=(config.data.training_seeds[0], config.data.training_seeds[1] - 1),
            validation_seeds=(config.data.validation_seeds[0], config.data.validation_seeds[1] - 1),
            steps=checkpoint.step,
            parameters=n_parameters,
        ),
        metrics={f"validation_{key}": round(value, 4) for key, value in checkpoint.metrics.items() if key != "loss"},
    )


def _describe(config: TrainConfig) -> str:
    """What the network was shown, in words."""
    if isinstance(config.manifests, ManifestSettings):
        real = f"real scans ({config.manifests.share:.0%} of the patches): {'; '.join(config.manifests.about)}"
        return real if config.manifests.share == 1.0 else f"{real}; synthetic: {_synthetic(config)}"
    return f"synthetic only: {_synthetic(config)}"


def _synthetic(config: TrainConfig) -> str:
    """The synthetic part of the data."""
    if config.data.kind == "tubes":
        return "random tubes, no anatomy"
    drawn = " and ".join(config.data.topologies)
    tubes = f"{config.data.tube_share:.0%} of the patches random tubes"
    return f"scanned digital heads with disease and hard negatives, arteries {drawn}; {tubes}"


def _check_parity(network: torch.nn.Module, config: TrainConfig, folder: Path) -> float:
    """Largest difference in probability between torch and the exported model on images with vessels.

    Raises:
        ModelError: it exceeds `PARITY_TOLERANCE`.
    """
    model, run = open_model(folder, threads=config.fit.threads), torch_runner(network)
    worst = 0.0
    for seed in range(_PARITY_WINDOWS):
        image = crop_image(render_crop(seed, config.data, "cubes"), config.network.window_hu)
        sizes = (n // (1 + seed % 2) // config.network.multiple * config.network.multiple for n in image.shape[1:])
        window = np.ascontiguousarray(image[(slice(None), *(slice(n) for n in sizes))])
        worst = max(worst, float(np.abs(model.run(window) - run(window)).max()))
    if not worst < PARITY_TOLERANCE:
        msg = f"torch and onnxruntime differ by {worst:.2g} in probability, {PARITY_TOLERANCE:g} at most is the same model"
        raise ModelError(msg)
    return worst


def _card(manifest: Manifest) -> str:
    """The model card: what it is, what it was shown, what it must not be used for."""
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in sorted(manifest.metrics.items()))
    contract, training = manifest.input, manifest.training
    return f"""# {manifest.name} {manifest.version}

{lvo.RESEARCH_USE_ONLY}

Tells {", ".join(manifest.output.channels[1:])} apart on CT angiograms of the head.

| what | value |
|---|---|
| input | HU at {contract.spacing_mm:g} mm, {contract.frame} |
| normalisation | {contract.window_hu[0]:g} to {contract.window_hu[1]:g} HU mapped to 0..1, clipped |
| window | up to {" x ".join(map(str, contract.window_kji))} voxels (k, j, i), multiples of {contract.multiple} |
| channels | {", ".join(contract.channels)} |
| ONNX opset | {contract.opset} |
| network | 3D U-Net at half resolution (MONAI DynUNet) with a fine last step, {training.parameters} weights |
| data | {training.data} |
| training seeds | {training.training_seeds[0]} to {training.training_seeds[1]} |
| validation seeds | {training.validation_seeds[0]} to {training.validation_seeds[1]} |
| steps | {training.steps} |
| training configuration | sha256 {training.config_sha256} |
| model file | sha256 {manifest.sha256} |

## Measured on {_validated_on(training.data)}
They chose the checkpoint, so these figures are optimistic.

| metric | value |
|---|---|
{rows}

## Limits
- {_never_saw(training.data)} Check it on your own scans before you rely on anything.
- Not trained on: haemorrhage, tumours, children, vascular malformations, stents.
- Veins are told from arteries by form, place and brightness; in late phases they are confused more often.
- Vessels at the inner table and inside bone (petrous and cavernous carotid) are the least certain.
"""


def _validated_on(data: str) -> str:
    """What chose the checkpoint."""
    return "synthetic validation heads" if data.startswith("synthetic only") else "the validation scans of the manifests"


def _never_saw(data: str) -> str:
    """Whether it ever saw a patient, and what that means."""
    if data.startswith("synthetic only"):
        return "It never saw a patient. How well it does on real scans is not known."
    return "It learnt from real scans under the licences above, which may bind the model too. A few scans are no validation."
