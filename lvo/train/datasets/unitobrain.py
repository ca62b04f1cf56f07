"""UniToBrain: CT perfusion in DICOM, one folder per patient. No angiograms."""

from pathlib import PurePosixPath

from lvo.train.datasets.record import DataSet, Found, Issue, Level, Scan
from lvo.train.datasets.tree import Tree

__all__ = ["UNITOBRAIN"]

_FOLDER = r"(?P<folder>^(?:.*/)?MOL-(?P<number>\d+))/.+"


def _find(tree: Tree) -> Found:
    folders: dict[int, PurePosixPath] = {}
    for path, match in tree.matching(_FOLDER):
        if path.suffix.lower() in {".dcm", ".ima", ""}:
            folders.setdefault(int(match["number"]), PurePosixPath(match["folder"]))
    scans = [Scan(f"MOL-{n:03d}", folder, "ctp", f"unitobrain-{n}") for n, folder in sorted(folders.items())]
    packed = [path.name for path, _ in tree.matching(r"\.7z(\.\d+)?$")]
    issues = [Issue(Level.WARNING, "packed", "", f"{len(packed)} archives are not unpacked")] if packed else []
    return Found(tuple(scans), tuple(issues))


UNITOBRAIN = DataSet(
    name="UniToBrain",
    title="UniToBrain CT perfusion",
    licence="as the download page says (IEEE DataPort, Zenodo 5109415): read it there",
    source="Gava et al., Front Neuroinform 2023; Zenodo 5109415",
    find=_find,
    notes=("no CT angiogram: it cannot train or judge the artery network",),
)
"""The adapter."""
