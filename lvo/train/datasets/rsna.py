"""RSNA 2025 intracranial aneurysm detection: CT and MR angiograms in DICOM; the CT angiograms are used."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from lvo.train.datasets.record import DataSet, Found, Issue, Level, Scan
from lvo.train.datasets.tree import Row, Tree, read_table

__all__ = ["RSNA"]

_SERIES = r"(?:^|/)series/(?P<uid>[\d.]+)/[^/]+$"
_LABEL = r"(?:^|/)segmentations/(?:[^/]+/)?(?P<uid>[\d.]+)_cowseg\.nii(?:\.gz)?$"
_LABEL_IMAGE = r"(?:^|/)segmentations/(?:[^/]+/)?(?P<uid>\d[\d.]*\d)\.nii(?:\.gz)?$"
_NAMES: Mapping[int, str] = {
    1: "other posterior", 2: "BA", 3: "R-Pcom", 4: "L-Pcom", 5: "R-ICA", 6: "L-ICA", 7: "R-ICA", 8: "L-ICA", 9: "R-MCA",
    10: "L-MCA", 11: "R-ACA", 12: "L-ACA", 13: "Acom",
}  # fmt: skip
"""As one published solution reads them; infraclinoid and supraclinoid carotid are one class here."""


def _find(tree: Tree) -> Found:
    folders = {match["uid"]: path.parent for path, match in tree.matching(_SERIES)}
    labels = {match["uid"]: path for path, match in tree.matching(_LABEL)}
    images = {match["uid"]: path for path, match in tree.matching(_LABEL_IMAGE)}
    tables = [path for path, _ in tree.matching(r"(?:^|/)train\.csv$")]
    if not tables:
        return Found((), (Issue(Level.ERROR, "table", "", "has no train.csv, so that CT cannot be told from MR"),))
    rows = {row.get("SeriesInstanceUID", ""): row for row in read_table(tree.path(tables[0]))}
    scans, issues = [], []
    for uid, row in sorted(rows.items()):
        if row.get("Modality", "").upper() != "CTA":
            continue
        image: PurePosixPath | None = images.get(uid) if uid in labels else folders.get(uid)
        if image is None:
            issues.append(Issue(Level.ERROR, "no-image", uid, "is in train.csv and has no images"))
            continue
        scans.append(Scan(uid, image, "cta", f"rsna-{uid}", arteries=labels.get(uid), facts=_facts(row)))
    unlisted = sorted(set(folders) - set(rows))
    issues += [Issue(Level.WARNING, "table", uid, "has images and no row in train.csv; left out") for uid in unlisted]
    other = sum(row.get("Modality", "").upper() != "CTA" for row in rows.values())
    if other:
        issues.append(Issue(Level.INFO, "modality", "", f"{other} series that are no CT angiogram are left out"))
    return Found(tuple(scans), tuple(issues))


def _facts(row: Row) -> dict[str, str]:
    columns = {"age": "PatientAge", "sex": "PatientSex", "aneurysm": "Aneurysm Present"}
    return {name: row[column] for name, column in columns.items() if row.get(column)}


RSNA = DataSet(
    name="RSNA25",
    title="RSNA 2025 intracranial aneurysm detection",
    licence="rules of the competition on Kaggle: accept them there; not for redistribution",
    source="kaggle.com/competitions/rsna-intracranial-aneurysm-detection",
    find=_find,
    label_names=lambda _tree: _NAMES,
    notes=(
        "nobody looked for occlusions: they are neither positive nor negative",
        "one series is one patient here; the tables do not say which series belong together",
    ),
)
"""The adapter."""
