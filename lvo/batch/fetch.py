"""Bring what an item names to this machine: local paths as they are, everything else into a temporary folder."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lvo.batch.dicomweb import WEB, fetch_study
from lvo.batch.folders import DIRECTLY, files_of
from lvo.batch.objects import fetch_objects

__all__ = ["fetched", "is_url"]


def is_url(location: str) -> bool:
    """Whether a location is no local path."""
    return "://" in location


@contextmanager
def fetched(locations: Sequence[str]) -> Iterator[list[Path]]:
    """Local paths of an item; what was fetched is deleted at the end of the `with` block.

    Raises:
        InputError: it cannot be fetched.
        UsageError: what is needed to fetch it is not installed.
    """
    paths: list[Path] = []
    for location in locations:
        if location.endswith(DIRECTLY):
            paths += files_of(Path(location.removesuffix(DIRECTLY)))
        elif not is_url(location):
            paths.append(Path(location))
    remote = [location for location in locations if is_url(location)]
    if not remote:
        yield paths
        return
    with tempfile.TemporaryDirectory(prefix="lvo-batch-", ignore_cleanup_errors=True) as folder:
        for number, url in enumerate(remote):
            target = Path(folder) / f"{number}"
            fetch = fetch_study if url.startswith(WEB) else fetch_objects
            paths.append(fetch(url, target))
        yield paths
