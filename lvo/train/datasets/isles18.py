"""ISLES 2018: CT perfusion slabs with maps and core. There is no CT angiogram."""

from collections import defaultdict
from pathlib import PurePosixPath

from lvo.train.datasets.record import DataSet, Found, Issue, Level, Scan
from lvo.train.datasets.tree import NIFTI, Tree

__all__ = ["ISLES18"]

_WHAT = r"CT_4DPWI|CT_CBF|CT_CBV|CT_MTT|CT_Tmax|CT|OT"
_FILE = rf"(?P<part>TRAINING|TESTING)/case_(?P<number>\d+)/[^/]*/?SMIR\.Brain\.XX\.O\.(?P<what>{_WHAT})\b[^/]*"
_NEEDED = ("CT", "CT_CBF", "CT_CBV", "CT_MTT", "CT_Tmax")


def _find(tree: Tree) -> Found:
    files: dict[tuple[str, int], dict[str, PurePosixPath]] = defaultdict(dict)
    for path, match in tree.matching(_FILE + NIFTI):
        if match["part"]:
            files[match["part"].lower(), int(match["number"])][match["what"].upper()] = path
    scans, issues = [], []
    for (part, number), found in sorted(files.items()):
        subject = f"{part}-{number:03d}"
        missing = [what for what in _NEEDED if what.upper() not in found]
        if part == "training" and "OT" not in found:
            missing.append("OT (the mask)")
        if missing:
            issues.append(Issue(Level.WARNING, "missing-map", subject, f"has no {', '.join(missing)}"))
        perfusion = found.get("CT_4DPWI")
        if perfusion is None:
            issues.append(Issue(Level.ERROR, "no-image", subject, "has no perfusion scan (CT_4DPWI)"))
            continue
        split = "test" if part == "testing" else ""
        scans.append(Scan(subject, perfusion, "ctp", f"isles18-{subject}", split=split))
    return Found(tuple(scans), tuple(issues))


ISLES18 = DataSet(
    name="ISLES18",
    title="ISLES 2018",
    licence="research use, on registration with the challenge",
    source="isles-challenge.org, 2018; SMIR",
    find=_find,
    notes=(
        "no CT angiogram: it cannot train or judge the artery network",
        "slabs of a few thick slices; two slabs of one patient are two cases, and nothing says which: subjects may leak",
    ),
)
"""The adapter."""
