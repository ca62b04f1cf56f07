"""A model as a MONAI Bundle: weights, metadata and an inference configuration that gives what the ONNX model gives.

Preparation and sliding window are those of `lvo`, named in the configuration; a bundle that cut and blended its own way
would be another model. So the bundle needs `lvo[train]` beside MONAI, and its metadata say so.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import nn

import lvo
from lvo.core.outcome import NotAssessable
from lvo.core.volume import AIR_HU, Quantity, Volume
from lvo.errors import InputError, OutputError
from lvo.image.brain import find_brain
from lvo.image.register import register_to_atlas
from lvo.image.resample import resample
from lvo.infer.manifest import MODEL_FILE, Manifest, read_manifest, verify
from lvo.infer.window import IMAGE_CHANNELS, sliding_window
from lvo.nifti.volumes import write_nifti
from lvo.train.datasets.images import load_image
from lvo.train.export import CARD_FILE
from lvo.train.fit import crop_image
from lvo.train.network import VesselNetwork
from lvo.train.shards import Crop, place_of
from lvo.train.weights import shipped_network

__all__ = ["AtlasWindows", "PrepareScan", "export_bundle", "infer", "network_of"]

_META_SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"


def network_of(channels: tuple[int, ...], *, residual: bool, window_kji: tuple[int, int, int]) -> VesselNetwork:
    """The network of a bundle, without its weights."""
    from lvo.train.config import NetworkSettings

    return VesselNetwork(NetworkSettings(channels=tuple(channels), residual=residual, window_kji=window_kji))


class PrepareScan:
    """From a scan in a file to what the network sees: head found, registered, cropped along the atlas.

    Args:
        spacing_mm: of the crop.
        window_hu: HU that become 0 and 1.
        low_atlas_mm, high_atlas_mm: the box.
    """

    def __init__(
        self,
        spacing_mm: float,
        window_hu: tuple[float, float],
        low_atlas_mm: tuple[float, ...],
        high_atlas_mm: tuple[float, ...],
    ) -> None:
        self.spacing_mm, self.window_hu = spacing_mm, (window_hu[0], window_hu[1])
        self.low_atlas_mm, self.high_atlas_mm = low_atlas_mm, high_atlas_mm

    def __call__(self, path: str) -> dict[str, Any]:
        """The image (1, 4, K, J, I), and the volume it was cut from.

        Raises:
            InputError: the file cannot be read, or the head cannot be found or registered.
        """
        scan = load_image(Path(path), "cta")
        brain = find_brain(scan)
        pose = brain if isinstance(brain, NotAssessable) else register_to_atlas(scan, brain.value)
        if isinstance(pose, NotAssessable):
            raise InputError("; ".join(pose.reasons))
        grid = pose.value.crop(self.low_atlas_mm, self.high_atlas_mm, spacing_mm=self.spacing_mm)
        hu = Volume(np.rint(resample(scan, grid, fill=AIR_HU).array).astype(np.int16), grid, Quantity.HU)
        crop = Crop(hu.array, np.zeros(hu.array.shape, np.uint8), *place_of(grid, pose.value))
        return {"image": torch.from_numpy(crop_image(crop, self.window_hu)[np.newaxis]), "hu": hu}


class AtlasWindows(Inferer):
    """The sliding window of `lvo`, as MONAI calls an inferer; gives probabilities.

    Args:
        largest_kji: largest window.
        multiple: sizes of windows are multiples of it.
        n_classes: of the network.
    """

    def __init__(self, largest_kji: tuple[int, int, int], multiple: int, n_classes: int) -> None:
        super().__init__()
        self.largest_kji, self.multiple, self.n_classes = tuple(largest_kji), multiple, n_classes

    def __call__(self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:  # noqa: ANN401 - MONAI's signature
        """(1, 4, K, J, I) to (1, classes, K, J, I) probabilities."""
        device = inputs.device

        def run(window: NDArray[np.float32]) -> NDArray[np.float32]:
            with torch.inference_mode():
                logits = network(torch.from_numpy(window[np.newaxis]).to(device), *args, **kwargs)
                return np.ascontiguousarray(torch.softmax(logits, dim=1)[0].cpu().numpy(), dtype=np.float32)

        k, j, i = self.largest_kji
        found = sliding_window(
            inputs[0].cpu().numpy(), run, largest_kji=(k, j, i), multiple=self.multiple, n_classes=self.n_classes
        )
        return torch.from_numpy(found[np.newaxis]).to(device)


def infer(network: nn.Module, prepare: PrepareScan, inferer: AtlasWindows, image: str, output: str) -> None:
    """Segment one scan: the likeliest class of every voxel of the crop, as NIfTI."""
    prepared = prepare(image)
    found = inferer(prepared["image"], network)[0].argmax(dim=0).cpu().numpy().astype(np.uint8)
    write_nifti(Volume(found, prepared["hu"].grid, Quantity.LABEL), Path(output))


def export_bundle(model: Path, out: Path) -> Path:
    """Write a bundle of an exported model; a folder of that name is replaced at the end.

    Args:
        model: folder of the model (model.onnx, manifest.toml).
        out: folder that receives the bundle's folder, named as the model.

    Returns:
        The bundle's folder.

    Raises:
        ModelError: the model was altered, or its weights do not give what it gives.
        OutputError: the folder cannot be written.
    """
    manifest = read_manifest(model)
    network, settings = shipped_network(model)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".bundle-") as temporary:
            folder = Path(temporary) / manifest.name
            for part in ("configs", "models", "docs"):
                (folder / part).mkdir(parents=True)
            torch.save(network.state_dict(), folder / "models" / "model.pt")
            shutil.copy(verify(model, manifest), folder / "models" / MODEL_FILE)
            card = model / CARD_FILE
            readme = card.read_text(encoding="utf-8") if card.exists() else f"# {manifest.name}\n"
            (folder / "docs" / "README.md").write_text(readme, encoding="utf-8")
            _write(folder / "configs" / "metadata.json", _metadata(manifest))
            arguments = {"channels": settings.channels, "residual": settings.residual, "window_kji": settings.window_kji}
            _write(folder / "configs" / "inference.json", _inference(manifest, arguments))
            target = out / manifest.name
            if target.exists():
                shutil.rmtree(target)
            folder.replace(target)
    except OSError as error:
        msg = f"bundle {manifest.name} cannot be written to {out}: {error.strerror}"
        raise OutputError(msg) from error
    return target


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _metadata(manifest: Manifest) -> dict[str, Any]:
    """What MONAI wants to know: mb_specification, metadata.json."""
    import monai

    multiple = [f"{manifest.input.multiple}*n"] * 3
    shared = {"type": "image", "modality": "CT", "spatial_shape": multiple, "dtype": "float32", "is_patch_data": True}
    return {
        "schema": _META_SCHEMA,
        "version": manifest.version,
        "changelog": {manifest.version: "exported by lvo"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+", 1)[0],
        "numpy_version": np.__version__,
        "optional_packages_version": {"lvo": lvo.__version__},
        "required_packages_version": {"lvo": lvo.__version__},
        "name": manifest.name,
        "task": "Arteries by tree, veins and clots on CT angiograms of the head",
        "description": f"{lvo.RESEARCH_USE_ONLY} Input: {manifest.input.frame}, {manifest.input.spacing_mm:g} mm.",
        "authors": "the lvo project",
        "copyright": "Apache-2.0; data: see data_source",
        "data_source": manifest.training.data,
        "data_type": "nifti",
        "image_classes": ", ".join(IMAGE_CHANNELS),
        "label_classes": ", ".join(manifest.output.channels),
        "pred_classes": f"{len(manifest.output.channels)} channels of logits: {', '.join(manifest.output.channels)}",
        "eval_metrics": {name: value for name, value in manifest.metrics.items() if np.isfinite(value)},
        "intended_use": lvo.RESEARCH_USE_ONLY,
        "references": [],
        "network_data_format": {
            "inputs": {
                "image": {
                    **shared, "format": "magnitude", "num_channels": len(IMAGE_CHANNELS), "value_range": [-2, 2],
                    "channel_def": {str(n): name for n, name in enumerate(IMAGE_CHANNELS)},
                }
            },
            "outputs": {
                "pred": {
                    **shared, "format": "labels", "num_channels": len(manifest.output.channels), "value_range": [],
                    "channel_def": {str(n): name for n, name in enumerate(manifest.output.channels)},
                }
            },
        },
    }  # fmt: skip


def _inference(manifest: Manifest, network: dict[str, Any]) -> dict[str, Any]:
    """The configuration that `python -m monai.bundle run --config_file configs/inference.json --image ... ` executes."""
    from lvo.core.anatomy import ARTERY_BOX_ATLAS_MM

    contract = manifest.input
    weights = "torch.load(@bundle_root + '/models/model.pt', map_location=@device, weights_only=True)"
    return {
        "imports": ["$import torch", "$import lvo.train.bundle"],
        "bundle_root": ".",
        "image": "cta.nii.gz",
        "output": "vessels.nii.gz",
        "device": "$torch.device('cpu')",
        "network_def": {"_target_": "lvo.train.bundle.network_of", **network},
        "network": "$@network_def.to(@device).eval()",
        "preprocessing": {
            "_target_": "lvo.train.bundle.PrepareScan",
            "spacing_mm": contract.spacing_mm,
            "window_hu": contract.window_hu,
            "low_atlas_mm": ARTERY_BOX_ATLAS_MM[0],
            "high_atlas_mm": ARTERY_BOX_ATLAS_MM[1],
        },
        "inferer": {
            "_target_": "lvo.train.bundle.AtlasWindows",
            "largest_kji": contract.window_kji,
            "multiple": contract.multiple,
            "n_classes": len(manifest.output.channels),
        },
        "initialize": [f"$@network.load_state_dict({weights})"],
        "run": ["$lvo.train.bundle.infer(@network, @preprocessing, @inferer, @image, @output)"],
    }
