"""Where the models of an installation lie, and how one is asked for by name."""

import re
from pathlib import Path

import lvo
from lvo.config import Precision
from lvo.errors import ModelError
from lvo.infer.manifest import MANIFEST_FILE, Manifest, read_manifest
from lvo.infer.providers import Device
from lvo.infer.session import Model, open_model

__all__ = ["list_models", "load_model", "models_folder"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def models_folder() -> Path:
    """Folder that holds one folder per model: inside an installed wheel `lvo/_models`, in a checkout `models`."""
    package = Path(lvo.__file__).resolve().parent
    installed = package / "_models"
    return installed if installed.is_dir() else package.parent / "models"


def list_models(*, root: Path | None = None) -> tuple[Manifest, ...]:
    """Manifests of all models, by name; their weights are not touched and no runtime is loaded.

    Args:
        root: folder of models, that of the installation when omitted.

    Raises:
        ModelError: a manifest cannot be read.
    """
    folder = root or models_folder()
    return tuple(read_manifest(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST_FILE}")))


def load_model(
    name: str, *, threads: int = 2, device: Device = "auto", precision: Precision = "float32", root: Path | None = None
) -> Model:
    """Load a model by name, ready to run.

    Args:
        name: folder name of the model, e.g. "arteries".
        threads: processor threads one window may use.
        device: what it runs on.
        precision: of its arithmetic.
        root: folder of models, that of the installation when omitted.

    Raises:
        ModelError: there is no such model or device, or it is incomplete, altered, or not supported by this version.
    """
    folder = (root or models_folder()) / name
    if not _NAME.fullmatch(name) or not folder.is_dir():
        known = ", ".join(manifest.name for manifest in list_models(root=root)) or "none"
        msg = f"there is no model {name!r}; installed: {known}. Set [cta] model to one of them, or reinstall lvo"
        raise ModelError(msg)
    return open_model(folder, threads=threads, device=device, precision=precision)
