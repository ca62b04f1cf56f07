"""What a network runs on: the fastest that is installed, or the one that is asked for."""

import json
from typing import Any, Literal

from lvo.config import Precision
from lvo.errors import ModelError

__all__ = ["DEVICES", "Device", "choose_provider"]

Device = Literal["auto", "cuda", "openvino", "cpu"]
DEVICES: dict[str, str] = {
    "cuda": "CUDAExecutionProvider", "openvino": "OpenVINOExecutionProvider", "cpu": "CPUExecutionProvider",
}  # fmt: skip
"""Devices, the fastest first, and what onnxruntime calls them."""

_OPENVINO_PRECISION: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}

_PACKAGES = {"cuda": "onnxruntime-gpu", "openvino": "onnxruntime-openvino", "cpu": "onnxruntime"}


def choose_provider(device: Device, available: list[str], *, threads: int, precision: Precision = "float32") -> list[Any]:
    """Providers for onnxruntime, in the order in which it shall try them.

    Args:
        device: "auto" takes the fastest of `DEVICES` that is installed.
        available: what the installed onnxruntime has.
        threads: processor threads.
        precision: of the arithmetic; only OpenVINO has "bfloat16", where the processor has it.

    Raises:
        ModelError: the device that is asked for is not installed, or has not this precision.
    """
    installed = [name for name, provider in DEVICES.items() if provider in available]
    if device != "auto" and device not in installed:
        package = _PACKAGES[device]
        found = ", ".join(installed) or "no device"
        msg = f"[runtime] device = {device!r} needs {package}, here is {found}: pip install {package}, or use auto"
        raise ModelError(msg)
    chosen = installed[0] if device == "auto" else device
    if precision != "float32" and chosen != "openvino":
        msg = f"[runtime] precision = {precision!r} needs device openvino, here it is {chosen}: use float32, or install that"
        raise ModelError(msg)
    if chosen == "openvino":  # always told: left alone, OpenVINO rounds wherever the processor can
        hint = json.dumps({"CPU": {"INFERENCE_PRECISION_HINT": _OPENVINO_PRECISION[precision]}})
        options = {"device_type": "CPU", "num_of_threads": str(threads), "load_config": hint}
        return [(DEVICES[chosen], options), DEVICES["cpu"]]
    return [DEVICES[chosen]] if chosen == "cpu" else [DEVICES[chosen], DEVICES["cpu"]]
