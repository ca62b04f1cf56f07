"""Object stores and other places that fsspec knows: s3://, gs://, abfs://, https://, sftp://, ...

Needs the extra `batch`, and the package of the store.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lvo.batch.folders import ARCHIVE_NAME
from lvo.batch.records import Item
from lvo.errors import InputError, UsageError

__all__ = ["fetch_objects", "list_objects"]

_OTHER_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp.client_exceptions", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
)
"""Of S3, of https and Google, of Google's credentials, of Azure."""


def list_objects(url: str) -> Iterator[Item]:
    """Every folder and archive right below a URL as an item; the URL itself when it is an archive or holds files only.

    Raises:
        InputError: it cannot be listed.
        UsageError: fsspec, or what it needs for this kind of URL, is not installed.
    """
    fsspec = _fsspec()
    try:
        store, root = fsspec.core.url_to_fs(url)
        store.invalidate_cache()  # stores keep listings, and a watch would never see what arrives
        if store.isfile(root):
            yield Item(url, (url,), _print_of(store.info(root)))
            return
        entries = [entry for entry in store.ls(root, detail=True) if entry["name"].rstrip("/") != root.rstrip("/")]
    except _errors() as error:
        raise _failure(error, "listed") from error
    children = [e for e in entries if e["type"] == "directory" or ARCHIVE_NAME.search(e["name"])]
    if not children:
        yield Item(url, (url,), "")
    for entry in sorted(children, key=lambda entry: str(entry["name"])):
        child = str(store.unstrip_protocol(entry["name"]))
        yield Item(child, (child,), _print_of(entry))


def fetch_objects(url: str, target: Path) -> Path:
    """Copy a file, or everything below a folder, to a local path; returns it.

    Raises:
        InputError: it cannot be read.
        UsageError: as `list_objects`.
    """
    fsspec = _fsspec()
    try:
        store, root = fsspec.core.url_to_fs(url)
        if store.isfile(root):
            store.get_file(root, str(target))
        else:
            target.mkdir()
            files = sorted(store.find(root))
            for number, name in enumerate(files):  # names of our own: those of the store could leave the folder
                store.get_file(name, str(target / f"{number:06d}"))
    except _errors() as error:
        raise _failure(error, "fetched") from error
    return target


def _errors() -> tuple[type[Exception], ...]:
    """What a store raises: of the packages that are loaded, those errors too that are no `OSError`."""
    others = (getattr(sys.modules[module], name) for module, name in _OTHER_ERRORS if module in sys.modules)
    return (ImportError, OSError, ValueError, *others)


def _print_of(entry: dict[str, object]) -> str:
    """What changes when the object does; folders of a store have nothing of the kind."""
    if entry.get("type") == "directory":
        return ""
    return "-".join(str(entry[key]) for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "size") if entry.get(key))


def _failure(error: Exception, what: str) -> InputError | UsageError:
    """The error with what to do. No URL: it may hold a patient's name or a key."""
    if isinstance(error, ImportError) or "not known" in str(error).lower():
        return UsageError(f"this kind of URL needs a package that is not installed: {error}")
    return InputError(f"the object store could not be {what}: {type(error).__name__}; check URL, network and credentials")


def _fsspec() -> Any:  # noqa: ANN401 - fsspec has no types
    try:
        import fsspec
    except ImportError as error:
        msg = "URLs need fsspec: pip install 'lvo[batch]', and the store's own package, e.g. s3fs"
        raise UsageError(msg) from error
    return fsspec
