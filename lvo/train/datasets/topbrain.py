"""TopBrain 2025: arteries of the whole brain and veins on CT. The meaning of the codes is in a file that comes along."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from lvo.errors import InputError
from lvo.train.datasets.record import DataSet, Found, Issue, Level, Scan
from lvo.train.datasets.topcow import patient_of
from lvo.train.datasets.tree import NIFTI, Tree

__all__ = ["TOPBRAIN"]

_NAME = r"(?P<set>topcow|topbrain)_ct_(?P<number>\d+)"
_IMAGE = r"imagesTr[^/]*/" + _NAME + r"_0000" + NIFTI
_LABEL = r"labelsTr[^/]*/" + _NAME + NIFTI
_MAP = r"labelmap[^/]*_ct[^/]*\.txt$"
_ITKSNAP = re.compile(r'^\s*(?P<code>\d+)\s+\d+\s+\d+\s+\d+\s+[\d.]+\s+\d+\s+\d+\s+"(?P<name>[^"]*)"')


def _find(tree: Tree) -> Found:
    labels: dict[str, PurePosixPath] = {match["number"]: path for path, match in tree.matching(_LABEL)}
    scans, issues = [], []
    for path, match in tree.matching(_IMAGE):
        number, subject = match["number"], f"{match['set'].lower()}_ct_{match['number']}"
        if number not in labels:
            issues.append(Issue(Level.WARNING, "missing-label", subject, "has no label"))
        scans.append(Scan(subject, path, "cta", patient_of(number), arteries=labels.get(number)))
    orphans = sorted(set(labels) - {scan.subject.rsplit("_", 1)[-1] for scan in scans})
    issues += [Issue(Level.ERROR, "no-image", f"topbrain_ct_{number}", "has a label and no image") for number in orphans]
    try:
        _names(tree)
    except InputError as error:
        issues.append(Issue(Level.ERROR, "label-names", "", str(error)))
    return Found(tuple(scans), tuple(issues))


def _names(tree: Tree) -> Mapping[int, str]:
    """Codes and names from the ITK-SNAP label file.

    Raises:
        InputError: there is none, or more than one that differ: the codes changed between releases and are never guessed.
    """
    tables = []
    for path, _ in tree.matching(_MAP):
        lines = tree.path(path).read_text(encoding="utf-8-sig").splitlines()
        found = [match for line in lines if (match := _ITKSNAP.match(line))]
        tables.append({int(match["code"]): match["name"] for match in found if match["code"] != "0"})
    if not tables or not tables[0] or any(table != tables[0] for table in tables):
        msg = f"one label map (itksnap_labelmap_txt/labelmap_topbrain_ct.txt) is needed to know the codes, found {len(tables)}"
        raise InputError(msg)
    return tables[0]


TOPBRAIN = DataSet(
    name="TopBrain",
    title="TopBrain 2025, CT",
    licence="as TopCoW: open use with citation; commercial use needs the owners' permission",
    source="TopBrain challenge 2025, data release of 14 August 2025",
    find=_find,
    label_names=_names,
    partial=False,
    notes=("some patients are those of TopCoW under the same number: index both with one split (--like)",),
)
"""The adapter."""
