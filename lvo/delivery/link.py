"""Addresses of the viewer's pages, for messages: an opaque key stands for the study, never its UID or a name."""

import hashlib

__all__ = ["study_key", "study_link"]


def study_key(study_instance_uid: str) -> str:
    """What a study is called in addresses: the start of a hash, the same everywhere, and no way back to the UID."""
    return hashlib.sha256(f"lvo-web {study_instance_uid}".encode()).hexdigest()[:24]


def study_link(viewer_url: str, study_instance_uid: str) -> str:
    """Address of a study's page, empty without one of the viewer; the key stands behind `#`, which browsers do not send."""
    return f"{viewer_url.rstrip('/')}/study.html#{study_key(study_instance_uid)}" if viewer_url else ""
