"""Make the manifest of a data set: hashes, and a split in which no patient, and no centre that is held out, is on two sides."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lvo.errors import UsageError
from lvo.train.datasets.check import Checked, Survey
from lvo.train.datasets.images import sha256_of_path
from lvo.train.datasets.manifest import SCHEMA, DataManifest, Entry, FileRef, Split
from lvo.train.datasets.record import Level
from lvo.train.datasets.tree import Tree

__all__ = ["SplitPlan", "build_manifest", "split_patients"]


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """How patients are shared out.

    Args:
        validation, test: shares of the patients of every centre.
        test_centres: centres that are for the test as a whole.
        seed: another one gives another split.
    """

    validation: float = 0.2
    test: float = 0.0
    test_centres: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing to learn from."""
        if min(self.validation, self.test) < 0.0 or self.validation + self.test >= 1.0:
            msg = f"validation {self.validation:g} and test {self.test:g} must be shares that leave some for training"
            raise UsageError(msg)


def split_patients(
    patients: Mapping[str, tuple[str, str]], plan: SplitPlan, *, fixed: Mapping[str, Split] | None = None
) -> dict[str, Split]:
    """Assign every patient to a split.

    Within a centre and an outcome patients are ordered by a hash of their name, and the shares are cut off that order: the same
    patients give the same split on any machine, and small groups get their share as nearly as whole patients allow.

    Args:
        patients: (centre, outcome) per patient.
        plan: shares and centres held out.
        fixed: patients whose split is given.

    Raises:
        UsageError: a centre that is to be held out is not there.
    """
    absent = sorted(set(plan.test_centres) - {centre for centre, _ in patients.values()})
    if absent:
        known = ", ".join(sorted({centre or "(not said)" for centre, _ in patients.values()}))
        msg = f"there is no centre {', '.join(absent)}; there are {known}"
        raise UsageError(msg)
    out: dict[str, Split] = {name: split for name, split in (fixed or {}).items() if name in patients}
    strata: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, (centre, outcome) in patients.items():
        if name in out:
            continue
        if centre in plan.test_centres:
            out[name] = "test"
        else:
            strata[centre, outcome].append(name)
    carried = [0.0, 0.0]  # what rounding owes to test and validation, so that many small groups still add up
    for key in sorted(strata):
        ordered = sorted(strata[key], key=lambda name: hashlib.sha256(f"{plan.seed}/{name}".encode()).hexdigest())
        cuts: list[int] = []
        for n, share in enumerate((plan.test, plan.validation)):
            wanted = carried[n] + share * len(ordered)
            cuts.append(min(int(wanted + 0.5), len(ordered) - sum(cuts)))
            carried[n] = wanted - cuts[-1]
        for n, name in enumerate(ordered):
            out[name] = "test" if n < cuts[0] else "validation" if n < sum(cuts) else "training"
    return out


def build_manifest(
    found: Survey,
    out: Path,
    plan: SplitPlan,
    *,
    like: Sequence[DataManifest] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> DataManifest:
    """Make the manifest.

    Args:
        found: the data set, surveyed with hashes.
        out: where it will be written; the root is stored relative to it.
        plan: the split.
        like: manifests whose patients keep their split.
        progress: told a line after each scan.

    Raises:
        UsageError: a centre that is to be held out is not there, or the data set's own split divides one patient.
    """
    patient_of = _joined(found.checked)
    usable = [one for one in found.checked if one.usable]
    patients: dict[str, tuple[str, str]] = {}
    for one in usable:
        patients.setdefault(patient_of[one.scan.patient], (one.scan.centre, str(one.scan.occluded)))
    fixed = _fixed(usable, patient_of, like)
    splits = split_patients(patients, plan, fixed=fixed)
    entries = []
    for one in found.checked:
        patient = patient_of[one.scan.patient]
        entries.append(_entry(found.tree, one, patient, splits.get(patient, "left out")))
        progress(f"{len(entries)} of {len(found.checked)}: {one.scan.subject}")
    about = found.data_set
    return DataManifest(
        schema=SCHEMA, data_set=about.name, title=about.title, licence=about.licence, source=about.source,
        root=os.path.relpath(found.tree.root.resolve(), out.resolve().parent), label_names=found.names, partial=about.partial,
        seed=plan.seed, entries=tuple(entries),
    )  # fmt: skip


def _joined(checked: Iterable[Checked]) -> dict[str, str]:
    """One name per patient, also where the same image goes by two."""
    first: dict[str, str] = {}
    names: dict[str, str] = {}
    for one in checked:
        name = names.get(one.scan.patient, one.scan.patient)
        kept = first.setdefault(one.sha256, name) if one.sha256 else name
        kept = names.get(kept, kept)  # which may go by another name by now
        if kept != name:  # whoever went by the other name goes by this one from now on
            names = {patient: kept if known == name else known for patient, known in names.items()}
        names[one.scan.patient] = kept
    return names


def _fixed(usable: Iterable[Checked], patient_of: Mapping[str, str], like: Sequence[DataManifest]) -> dict[str, Split]:
    """Splits that are given: by the data set itself, or by other manifests."""
    known = [entry for manifest in like for entry in manifest.entries if entry.split != "left out"]
    of_image: dict[str, Split] = {entry.image.sha256: entry.split for entry in known}
    fixed: dict[str, Split] = {patient_of[one.scan.patient]: of_image[one.sha256] for one in usable if one.sha256 in of_image}
    fixed.update({entry.patient: entry.split for entry in known})
    for one in usable:
        asked, patient = one.scan.split, patient_of[one.scan.patient]
        if not asked:
            continue
        split: Split = "validation" if asked == "validation" else "test" if asked == "test" else "training"
        if fixed.setdefault(patient, split) != split:
            msg = f"{one.scan.subject} is asked to be for {split}, the same patient is for {fixed[patient]} already"
            raise UsageError(msg)
    return fixed


def _entry(tree: Tree, one: Checked, patient: str, split: Split) -> Entry:
    scan, grid = one.scan, one.grid
    reasons = [issue.text for issue in one.issues if issue.level is Level.ERROR]

    def ref(path: PurePosixPath | None) -> FileRef | None:
        return None if path is None else FileRef(path=str(path), sha256=sha256_of_path(tree.path(path)))

    spacing = None if grid is None else [round(float(mm), 5) for mm in grid.spacing_kji_mm]
    shape = None if grid is None else grid.shape_kji
    return Entry(
        subject=scan.subject, patient=patient, kind=scan.kind, image=FileRef(path=str(scan.image), sha256=one.sha256),
        split=split if one.usable else "left out", why="; ".join(reasons),
        spacing_kji_mm=None if spacing is None else (spacing[0], spacing[1], spacing[2]),
        shape_kji=shape, angiogram=scan.angiogram,
        native=ref(scan.native), arteries=ref(scan.arteries), clot=ref(scan.clot), centre=scan.centre,
        occluded=scan.occluded, side=scan.side, site=scan.site, facts=dict(scan.facts),
    )  # fmt: skip
