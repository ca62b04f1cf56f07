"""What a network runs on: the fastest that is installed, or the one that is asked for."""

from typing import Any, Literal

from lvo.errors import ModelError

__all__ = ["DEVICES", "Device", "choose_provider"]

Device = Literal["auto", "cuda", "openvino", "cpu"]
DEVICES: dict[str, str] = {
    "cuda": "CUDAExecutionProvider", "openvino": "OpenVINOExecutionProvider", "cpu": "CPUExecutionProvider",
}  # fmt: skip
"""Devices, the fastest first, and what onnxruntime calls them."""

_PACKAGES = {"cuda": "onnxruntime-gpu", "openvino": "onnxruntime-openvino", "cpu": "onnxruntime"}


def choose_provider(device: Device, available: list[str], *, threads: int) -> list[Any]:
    """Providers for onnxruntime, in the order in which it shall try them.

    Args:
        device: "auto" takes the fastest of `DEVICES` that is installed.
        available: what the installed onnxruntime has.
        threads: processor threads.

    Raises:
        ModelError: the device that is asked for is not installed.
    """
    installed = [name for name, provider in DEVICES.items() if provider in available]
    if device != "auto" and device not in installed:
        package = _PACKAGES[device]
        found = ", ".join(installed) or "no device"
        msg = f"[runtime] device = {device!r} needs {package}, here is {found}: pip install {package}, or use auto"
        raise ModelError(msg)
    chosen = installed[0] if device == "auto" else device
    if chosen == "openvino":  # float32 throughout: its faster defaults change the call's probabilities
        precision = '{"CPU": {"INFERENCE_PRECISION_HINT": "f32"}}'
        options = {"device_type": "CPU", "num_of_threads": str(threads), "load_config": precision}
        return [(DEVICES[chosen], options), DEVICES["cpu"]]
    return [DEVICES[chosen]] if chosen == "cpu" else [DEVICES[chosen], DEVICES["cpu"]]
