"""CQ500: plain head CT in DICOM with three readers. No angiograms; a hard test for the choice of series."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from lvo.train.datasets.record import DataSet, Found, Issue, Level, Scan
from lvo.train.datasets.tree import Row, Tree, read_table

__all__ = ["CQ500"]

_FOLDER = r"(?P<folder>^(?:.*/)?CQ500[-_ ]?CT[-_ ]?0*(?P<number>\d+)(?![^/]*\.(?:csv|zip))[^/]*)/(?P<rest>.+\.dcm)$"
_CHEST = re.compile(r"chest|thorax|lung|abdomen", re.IGNORECASE)
_READS = {"haemorrhage": "ICH", "fracture": "Fracture", "midline_shift": "MidlineShift", "mass_effect": "MassEffect"}
_READERS = ("R1", "R2", "R3")


def _find(tree: Tree) -> Found:
    folders: dict[int, PurePosixPath] = {}
    issues, seen_chest = [], set()
    for path, match in tree.matching(_FOLDER):
        number = int(match["number"])
        folders.setdefault(number, PurePosixPath(match["folder"]))
        series = path.parent.name
        if _CHEST.search(series) and (number, series) not in seen_chest:
            seen_chest.add((number, series))
            text = f"holds a series that is no head ({series}); the choice of series leaves it out"
            issues.append(Issue(Level.WARNING, "chest", _subject(number), text))
    reads = _reads(tree)
    for code, numbers, text in (
        ("reads", set(folders) - set(reads), "has no row in reads.csv"),
        ("no-image", set(reads) - set(folders), "is in reads.csv and has no images"),
    ):
        issues += [Issue(Level.WARNING, code, _subject(number), text) for number in sorted(numbers)]
    scans = [
        Scan(_subject(number), folder, "ncct", f"cq500-{number}", facts=_facts(reads.get(number, {})))
        for number, folder in sorted(folders.items())
    ]
    return Found(tuple(scans), tuple(issues))


def _subject(number: int) -> str:
    return f"CQ500-CT-{number}"


def _reads(tree: Tree) -> Mapping[int, Row]:
    rows = {}
    for path, _ in tree.matching(r"(?:^|/)reads\.csv$"):
        for row in read_table(tree.path(path)):
            match = re.fullmatch(r"CQ500[-_ ]?CT[-_ ]?0*(\d+)", row.get("name", ""), re.IGNORECASE)
            if match:
                rows[int(match[1])] = row
    return rows


def _facts(row: Row) -> dict[str, str]:
    """What at least two of three readers saw."""
    if not row:
        return {}
    votes = {name: sum(row.get(f"{reader}:{column}") == "1" for reader in _READERS) for name, column in _READS.items()}
    return {name: "yes" if n >= 2 else "no" for name, n in votes.items()}


CQ500 = DataSet(
    name="CQ500",
    title="CQ500 head CT",
    licence="CC BY-NC-SA 4.0",
    source="Chilamkurthy et al., Lancet 2018, doi:10.1016/S0140-6736(18)31645-3",
    find=_find,
    known={("CQ500-CT-172", "chest"): "its chest series is in the release"},
    notes=("no CT angiogram: it cannot train or judge the artery network",),
)
"""The adapter."""
