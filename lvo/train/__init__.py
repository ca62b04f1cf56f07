"""Training: synthetic crops, the network, fit and export. The only room with torch and MONAI; needs the train extra."""

from importlib.util import find_spec

from lvo.errors import UsageError

__all__ = ["require_extra"]

_NEEDED = ("torch", "monai", "onnx", "onnxscript", "sklearn", "tensorboard")


def require_extra() -> None:
    """Say what to install before a heavy import fails.

    Raises:
        UsageError: a package of the train extra is missing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        msg = f"training and export need {', '.join(missing)}: pip install 'lvo[train]'"
        raise UsageError(msg)
