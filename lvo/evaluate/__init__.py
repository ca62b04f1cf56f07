"""Evaluation: rows of truth beside result in, figures with intervals, tables and pictures out. Needs the evaluate extra."""

from importlib.util import find_spec

from lvo.errors import UsageError

__all__ = ["require_extra"]

_NEEDED = {"skimage": "scikit-image", "sklearn": "scikit-learn"} | {name: name for name in ("pandas", "pyarrow", "statsmodels")}


def require_extra() -> None:
    """Say what to install before a heavy import fails.

    Raises:
        UsageError: a package of the evaluate extra is missing.
    """
    missing = [package for module, package in _NEEDED.items() if find_spec(module) is None]
    if missing:
        msg = f"the evaluation needs {', '.join(missing)}: pip install 'lvo[evaluate]'"
        raise UsageError(msg)
