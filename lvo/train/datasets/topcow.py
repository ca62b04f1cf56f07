"""TopCoW 2023 and 2024: circle of Willis labels on CT (and MR, which is left out: it is not registered to the CT)."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from lvo.errors import InputError
from lvo.train.datasets.labels import TOPCOW_NAMES
from lvo.train.datasets.record import DataSet, Found, Issue, Level, Scan
from lvo.train.datasets.tree import NIFTI, Tree

__all__ = ["TOPCOW", "patient_of"]

_NAME = r"topcow_(?P<modality>ct|mr)_(?:(?P<extent>whole|roi)_)?(?P<number>\d+)"
_IMAGE = r"images(?P<part>Tr|Val|Ts)[^/]*/" + _NAME + r"_0000" + NIFTI
_LABEL = r"(?P<kind>cow_seg|cow|multiclass|bin)_?[^/]*labels(?:Tr|Val|Ts)[^/]*/" + _NAME + NIFTI
_BOX = r"roi_loc[^/]*/" + _NAME + r"\.txt$"
_EDGES = r"antpos_edges[^/]*/" + _NAME + r"\.ya?ml$"


def patient_of(number: str) -> str:
    """TopBrain labels some of the same patients: they share this name, so that no split tells them apart."""
    return f"topcow-{int(number):03d}"


def _find(tree: Tree) -> Found:
    issues: list[Issue] = []
    images: dict[str, dict[str, tuple[PurePosixPath, str]]] = defaultdict(dict)
    n_mr = 0
    for path, match in tree.matching(_IMAGE):
        if match["modality"].lower() == "mr":
            n_mr += 1
            continue
        images[match["number"]][match["extent"] or "whole"] = path, match["part"].lower()
    labels: dict[tuple[str, str], dict[bool, PurePosixPath]] = defaultdict(dict)
    for path, match in tree.matching(_LABEL):
        if match["modality"].lower() == "ct":
            labels[match["number"], match["extent"] or "whole"][match["kind"].lower() == "bin"] = path
    scans = []
    for number, found in sorted(images.items()):
        extent = "whole" if "whole" in found else "roi"
        image, part = found[extent]
        of_image = labels.get((number, extent), {})
        arteries = of_image.get(False)
        subject = f"topcow_ct_{number}"
        if arteries is None:
            only = "only a mask without names" if of_image else "no label"
            level = Level.INFO if part != "tr" else Level.WARNING
            issues.append(Issue(level, "missing-label", subject, f"has {only} of the circle of Willis"))
        split = {"val": "validation", "ts": "test"}.get(part, "")
        scans.append(Scan(subject, image, "cta", patient_of(number), arteries=arteries, split=split))
    if n_mr:
        issues.append(Issue(Level.INFO, "mr", "", f"{n_mr} MR angiograms are left out: they are not CT, nor registered to it"))
    return Found(tuple(scans), (*issues, *_boxes(tree), *_edges(tree)))


def _boxes(tree: Tree) -> Iterator[Issue]:
    """Boxes that are no six numbers: size x, y, z, then place x, y, z."""
    for path, match in tree.matching(_BOX):
        numbers = [int(word) for word in tree.path(path).read_text(encoding="utf-8").split() if word.lstrip("-").isdigit()]
        if len(numbers) != 6 or min(numbers[:3]) < 1 or min(numbers[3:]) < 0:
            text = f"{path.name} must hold size and place of the box as six numbers, got {len(numbers)}"
            yield Issue(Level.WARNING, "box", f"topcow_{match['modality'].lower()}_{match['number']}", text)


def _edges(tree: Tree) -> Iterator[Issue]:
    """Tables of which arteries there are that cannot be read, or hold anything but 0 and 1."""
    import yaml

    for path, match in tree.matching(_EDGES):
        subject = f"topcow_{match['modality'].lower()}_{match['number']}"
        try:
            parsed = yaml.safe_load(tree.path(path).read_text(encoding="utf-8"))
            values = [value for part in ("anterior", "posterior") for value in parsed[part].values()]
        except (yaml.YAMLError, KeyError, TypeError, AttributeError, InputError) as error:
            yield Issue(Level.WARNING, "edges", subject, f"{path.name} is no table of edges ({type(error).__name__})")
            continue
        if len(values) != 8 or any(value not in (0, 1) for value in values):
            yield Issue(Level.WARNING, "edges", subject, f"{path.name} must say 0 or 1 for eight arteries")


TOPCOW = DataSet(
    name="TopCoW",
    title="TopCoW 2023 / 2024, CT",
    licence="open use with citation; commercial use needs the owners' permission",
    source="Yang et al., arXiv 2312.17670; Zenodo 15692630",
    find=_find,
    label_names=lambda _tree: TOPCOW_NAMES,
    known={("topcow_ct_017", "large"): "the outlier of the release, 72 million voxels"},
    notes=(
        "stroke patients: whether an artery is occluded is not said, so they are neither positive nor negative",
        "labels stop where the circle of Willis does: M2, M3 and veins are unlabelled vessels",
    ),
)
"""The adapter."""
