"""Worklist and viewer: see the finding in seconds, on the ward screen or a phone. Needs the web extra.

A FastAPI application (`lvo.web.app`) over a source of studies (`lvo.web.source`): a folder of results, or a node's store.
The pages are built from `web/` by Vite into `lvo/web/static`. Studies have an opaque key in addresses, never a UID or a name.
"""

from importlib.util import find_spec

from lvo.errors import UsageError

__all__ = ["require_extra"]

_NEEDED = ("argon2", "authlib", "fastapi", "httpx2", "itsdangerous", "limits", "uvicorn")


def require_extra() -> None:
    """Say what to install before an import fails.

    Raises:
        UsageError: a package of the web extra is missing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        msg = f"worklist and viewer need {', '.join(missing)}: pip install 'lvo[web]'"
        raise UsageError(msg)
