"""From the finding to the place: destinations, what waiting costs, what another network would do. Needs the network extra."""

from importlib.util import find_spec

from lvo.errors import UsageError

__all__ = ["require_extra"]

_NEEDED = ("pandas", "simpy", "stroke_maps", "stroke_outcome")


def require_extra() -> None:
    """Say what to install before an import fails.

    Raises:
        UsageError: a package of the network extra is missing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        msg = f"transfer and scenarios need {', '.join(missing)}: pip install 'lvo[network]'"
        raise UsageError(msg)
