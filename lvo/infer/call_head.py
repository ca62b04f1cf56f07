"""Load and save the fitted call: numbers in a JSON file beside the network whose maps it was fitted on."""

from dataclasses import fields
from pathlib import Path

import msgspec

from lvo.cta.call import DETECTORS, CallHead
from lvo.cta.features import BasilarFeatures, HemisphereFeatures
from lvo.errors import ModelError
from lvo.infer.manifest import Manifest
from lvo.infer.registry import models_folder

__all__ = ["CALL_FILE", "load_call_head", "save_call_head"]

CALL_FILE = "call.json"


def load_call_head(network: Manifest, *, root: Path | None = None) -> CallHead:
    """Read the call of a network.

    Args:
        network: manifest of the network.
        root: folder of models, that of the installation when omitted.

    Raises:
        ModelError: the file is missing, is not a call, or was fitted on the maps of another network.
    """
    path = (root or models_folder()) / network.name / CALL_FILE
    try:
        head = msgspec.json.decode(path.read_bytes(), type=CallHead)
    except OSError as error:
        msg = f"model {network.name} has no {CALL_FILE}: reinstall lvo, or fit it with `lvo calibrate`"
        raise ModelError(msg) from error
    except (msgspec.DecodeError, ValueError) as error:
        msg = f"{CALL_FILE} of model {network.name} is not a fitted call: {error}"
        raise ModelError(msg) from error
    if head.network_sha256 != network.sha256:
        found, needed = head.network_sha256[:12], network.sha256[:12]
        msg = f"{CALL_FILE} was fitted on network {found}, the installed one is {needed}: fit it again with `lvo calibrate`"
        raise ModelError(msg)
    hemisphere = ((getattr(head, name), HemisphereFeatures) for name in DETECTORS)
    for logistic, features in (*hemisphere, (head.basilar, BasilarFeatures)):
        unknown = sorted(set(logistic.features) - {field.name for field in fields(features)})
        if unknown:
            msg = f"{CALL_FILE} needs {', '.join(unknown)}, which this version does not measure: fit it with `lvo calibrate`"
            raise ModelError(msg)
    return head


def save_call_head(head: CallHead, folder: Path) -> Path:
    """Write a call into the folder of its network, all or nothing."""
    path = folder / CALL_FILE
    temporary = path.with_suffix(".part")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(head), indent=1) + b"\n")
    temporary.replace(path)
    return path
