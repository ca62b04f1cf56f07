"""ISLES 2024: acute strokes with CT angiogram, clot mask and circle of Willis. Nearly all of them are occluded.

The CT angiogram comes twice: as scanned (raw data, thin), and resampled to the plain CT (2 to 3 mm slices), where the masks
fit. Names changed between releases; everything is found by pattern. Layout and defects: Riedel et al., arXiv 2408.11142, and
what users of the release wrote about it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from lvo.train.datasets.labels import TOPCOW_NAMES
from lvo.train.datasets.record import DataSet, Found, Issue, Level, Scan
from lvo.train.datasets.tree import NIFTI, Row, Tree, read_table

__all__ = ["ISLES24"]

_NUMBER = r"sub-stroke(?:case)?(?P<number>\d+)"
_FILE = _NUMBER + r"_ses-0*1_(?P<space>space-ncct_)?(?P<what>[a-z-]+)" + NIFTI
_MAP = _NUMBER + r"_ses-0*1_space-ncct_(?:tmax|mtt|cbf|cbv)" + NIFTI
_LATER = _NUMBER + r"[^/]*_(?P<what>lesion-msk|dwi|adc)" + NIFTI
_TABLE = r"\.(csv|tsv|xlsx)$"
_COLUMNS = {
    "age": ("age",),
    "sex": ("sex", "gender"),
    "nihss": ("nihss at admission", "nihss"),
    "mrs_3_months": ("mrs 3 months",),
}
_CENTRE = ("center", "centre", "site", "hospital")


def _find(tree: Tree) -> Found:
    files: dict[str, dict[str, PurePosixPath]] = defaultdict(dict)
    issues = []
    for path, match in tree.matching(_FILE):
        what = ("ncct/" if match["space"] else "raw/") + match["what"].lower()
        files[_subject(match["number"])][what] = path
    for path, match in tree.matching(_LATER):
        if path.suffix == ".nii" and match["what"] == "lesion-msk":
            text = f"{path.name} is not compressed, the others are; it is read all the same"
            issues.append(Issue(Level.INFO, "suffix", _subject(match["number"]), text))
    maps: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path, match in tree.matching(_MAP):
        maps[_subject(match["number"])].append(path)
    rows = _phenotype(tree)
    scans = []
    for subject, found in sorted(files.items()):
        image = found.get("ncct/cta", found.get("raw/cta"))
        if image is None:
            issues.append(Issue(Level.ERROR, "no-image", subject, "has no CT angiogram (*_cta.nii.gz)"))
            continue
        on_ncct = "ncct/cta" in found
        issues += _missing(subject, found)
        row = rows.get(subject, {})
        centre = _value(row, _CENTRE)
        if rows and not centre and any(_value(other, _CENTRE) for other in rows.values()):
            issues.append(Issue(Level.WARNING, "centre", subject, "has no centre in the phenotype table, others have one"))
        facts = {name: value for name, columns in _COLUMNS.items() if (value := _value(row, columns))}
        scans.append(
            Scan(
                subject, image, "cta", f"isles24-{subject}", centre=centre,
                arteries=found.get("ncct/cow-msk") if on_ncct else None, clot=found.get("ncct/lvo-msk") if on_ncct else None,
                native=found.get("raw/cta") if on_ncct else None, facts=facts, maps=tuple(maps[subject]),
            )
        )  # fmt: skip
        scans += _perfusion(subject, found, centre, facts)
    return Found(tuple(scans), tuple(issues))


def _perfusion(subject: str, found: dict[str, PurePosixPath], centre: str, facts: dict[str, str]) -> Iterable[Scan]:
    """The perfusion scan of a subject: the one on the plain CT, which the masks fit, or else as scanned, without them."""
    image = found.get("ncct/ctp", found.get("raw/ctp"))
    if image is None:
        return
    fits = "ncct/ctp" in found
    yield Scan(
        f"{subject}-ctp", image, "ctp", f"isles24-{subject}", centre=centre, facts=facts,
        arteries=found.get("ncct/cow-msk") if fits else None, clot=found.get("ncct/lvo-msk") if fits else None,
    )  # fmt: skip


def _subject(number: str) -> str:
    """One spelling for all releases."""
    return f"sub-stroke{int(number):04d}"


def _missing(subject: str, found: dict[str, PurePosixPath]) -> Iterable[Issue]:
    """Files that every subject should have."""
    for what, text in (
        ("ncct/cta", "has no angiogram resampled to the plain CT, so that its masks fit no image; unpack derivatives too"),
        ("raw/cta", "has no angiogram as scanned (raw_data): only thick slices are left"),
        ("ncct/lvo-msk", "has no mask of the occlusion (lvo-msk)"),
        ("ncct/cow-msk", "has no circle of Willis (cow-msk)"),
    ):
        if what not in found:
            yield Issue(Level.WARNING, "missing-" + what.split("/")[-1], subject, text)


def _phenotype(tree: Tree) -> dict[str, Row]:
    """One row per subject, from tables per subject or one for all; columns in small letters."""
    rows: dict[str, Row] = defaultdict(dict)
    for path, _ in tree.matching(_TABLE):
        if "description" in path.name.lower():
            continue
        named = re.search(_NUMBER, str(path), re.IGNORECASE)
        for row in read_table(tree.path(path)):
            lowered = {name.lower(): value for name, value in row.items() if value}
            column = next((lowered[name] for name in ("participant_id", "subject", "id") if name in lowered), "")
            own = re.search(_NUMBER, column, re.IGNORECASE) or named
            if own:
                rows[_subject(own["number"])].update(lowered)
    return rows


def _value(row: Row, names: Iterable[str]) -> str:
    return next((row[name] for name in names if row.get(name)), "")


ISLES24 = DataSet(
    name="ISLES24",
    title="ISLES 2024, training set",
    licence="CC BY-NC-SA 4.0: no commercial use; what is made from it is shared alike",
    source="Riedel et al., arXiv 2408.11142; Zenodo 17652035",
    find=_find,
    label_names=lambda _tree: TOPCOW_NAMES,
    known={
        ("sub-stroke0016", "label-grid"): "circle of Willis and clot differ in shape in the release",
        ("sub-stroke0043", "damaged-map"): "its CBF map is cut short in the release",
        ("sub-stroke0075", "centre"): "the one subject whose centre is blank",
        ("sub-stroke0142", "suffix"): "its lesion mask is .nii in the release",
    },
    notes=(
        "nearly all subjects are occluded: four empty masks are known; take negatives from elsewhere",
        "the circle of Willis was drawn by a network and lacks arteries that are not opacified",
    ),
)
"""The adapter."""
