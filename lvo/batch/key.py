"""What decides a result beside the images. Another key has another folder, so results are never mixed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lvo import RESEARCH_USE_ONLY, __version__
from lvo.config import Config
from lvo.core.study import Role
from lvo.errors import ModelError, OutputError
from lvo.infer.call_head import CALL_FILE
from lvo.infer.manifest import read_manifest
from lvo.infer.registry import models_folder

__all__ = ["KEY_DIGITS", "describe", "key_of", "write_key"]

KEY_DIGITS = 12


def describe(config: Config, clinical: Mapping[str, float | str | None], roles: frozenset[Role]) -> dict[str, Any]:
    """Everything that a result depends on beside the images.

    Raises:
        ModelError: the model is not there.
    """
    folder = models_folder() / config.cta.model
    try:
        call = (folder / CALL_FILE).read_bytes()
    except OSError as error:
        msg = f"there is no model {config.cta.model!r} with its {CALL_FILE}; set [cta] model, or reinstall lvo"
        raise ModelError(msg) from error
    manifest = read_manifest(folder)
    return {
        "lvo": __version__,
        "model": {"name": manifest.name, "version": manifest.version, "sha256": manifest.sha256},
        "call_sha256": hashlib.sha256(call).hexdigest(),
        "config": msgspec.to_builtins(config),
        "config_sha256": config.sha256,
        "clinical": dict(clinical),
        "roles": sorted(roles),
    }


def key_of(description: Mapping[str, Any]) -> str:
    """Short hash of it. How many threads a network has does not change a result and is left out."""
    config = {**description["config"], "runtime": {"device": description["config"]["runtime"]["device"]}}
    content = {name: value for name, value in description.items() if name != "config_sha256"} | {"config": config}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:KEY_DIGITS]


def write_key(folder: Path, description: Mapping[str, Any]) -> None:
    """Write it as batch.json into the folder of the key, made if it is not there.

    Raises:
        OutputError: it cannot be written.
    """
    document = {**description, "key": key_of(description), "notice": RESEARCH_USE_ONLY}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "batch.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    except OSError as error:
        msg = f"results cannot be written below {folder.parent}: {error.strerror}; choose another --out"
        raise OutputError(msg) from error
