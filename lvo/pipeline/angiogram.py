"""CT angiogram: files to finding."""

from dataclasses import dataclass, replace

import numpy as np

from lvo.config import Config, CtaSettings
from lvo.core.anatomy import ARTERY_BOX_ATLAS_MM, ARTERY_PROBABILITY, ARTERY_TREES, VESSEL_CLASSES
from lvo.core.grid import Grid
from lvo.core.outcome import Absent, Assessed, NotAssessable, Outcome
from lvo.core.pose import HeadPose
from lvo.core.report import Call, CtaResult, QualityNote, Severity
from lvo.core.volume import AIR_HU, Quantity, Volume
from lvo.cta.decode import decode
from lvo.cta.voxels import CLOT_PROBABILITY
from lvo.dicom.facts import MIN_COVERAGE_MM, MIN_SLICES
from lvo.dicom.load import LoadedVolume, load_volume
from lvo.dicom.select import Selection
from lvo.errors import InputError
from lvo.image.brain import find_brain
from lvo.image.register import register_to_atlas
from lvo.image.resample import paste, resample
from lvo.image.scan_quality import check_scan, quality_notes
from lvo.infer import predict
from lvo.pipeline.records import Models, Progress

__all__ = ["Angiogram", "JudgedCrop", "analyze_angiogram", "judge_crop", "likeliest", "never_negative_if_thick"]


@dataclass(frozen=True, slots=True, eq=False)
class Angiogram:
    """What became of the CT angiogram; `loaded` and `pose` are None when it did not come that far."""

    outcome: Outcome[CtaResult]
    loaded: LoadedVolume | None = None
    pose: HeadPose | None = None


@dataclass(frozen=True, slots=True, eq=False)
class JudgedCrop:
    """What became of a crop: the outcome, and the probability per vessel class and of "artery" on its grid."""

    outcome: Assessed[CtaResult] | NotAssessable
    vessels: dict[str, Volume]


@dataclass(frozen=True, slots=True, eq=False)
class _Head:
    brain: Volume
    pose: HeadPose


def analyze_angiogram(selection: Selection, models: Models, config: Config, progress: Progress, *, wanted: bool) -> Angiogram:
    """Load, prepare, segment and judge the CT angiogram of a study."""
    if not wanted or selection.cta is None:
        return Angiogram(Absent(selection.missing_cta if wanted else "CT angiography was not asked for"))
    try:
        with progress.stage("cta.load"):
            loaded = load_volume(selection.cta)
    except InputError as error:
        return Angiogram(NotAssessable((f"CT angiogram: {error}",)))
    progress.notes += loaded.notes
    unfit = _unfit(loaded, config.cta.max_slice_mm)
    if unfit:
        return Angiogram(NotAssessable((f"CT angiogram: {unfit}",)), loaded)
    with progress.stage("cta.prepare"):
        head = _prepare(loaded.volume)
    if isinstance(head, NotAssessable):
        return Angiogram(NotAssessable(tuple(f"CT angiogram: {reason}" for reason in head.reasons)), loaded)
    with progress.stage("cta.quality"):
        notes = quality_notes(check_scan(loaded.volume, head.value.brain, head.value.pose))
    progress.notes += [note for note in notes if note.severity is not Severity.REFUSAL]
    refusals = tuple(f"CT angiogram: {note.text}" for note in notes if note.severity is Severity.REFUSAL)
    if refusals:
        return Angiogram(NotAssessable(refusals), loaded, head.value.pose)
    judged = _judge(loaded.volume, head.value, models, config, progress)
    outcome = never_negative_if_thick(judged, _slice_mm(loaded), config.cta)
    return Angiogram(outcome, loaded, head.value.pose)


def never_negative_if_thick(
    outcome: Assessed[CtaResult] | NotAssessable, slice_mm: float, settings: CtaSettings
) -> Assessed[CtaResult] | NotAssessable:
    """Withhold that nothing was detected where the slices are too thick to say so; what is suspected stands, with a warning.

    Args:
        outcome: of the judgement.
        slice_mm: distance or thickness of the slices, whichever is larger.
        settings: with the limit.
    """
    limit_mm = settings.max_negative_slice_mm
    if isinstance(outcome, NotAssessable) or round(slice_mm, 2) <= limit_mm:
        return outcome
    if outcome.value.finding.call is Call.NOT_DETECTED:
        needed = f"{limit_mm:g} mm or less are needed to say that no occlusion was detected"
        return NotAssessable((f"CT angiogram: slices are {slice_mm:.2f} mm apart or thick, {needed}; send the thin series",))
    text = f"slices are {slice_mm:.2f} mm apart or thick: occlusions of small branches may be missed"
    note = QualityNote("cta.thick_slices", Severity.WARNING, text)
    return Assessed(replace(outcome.value, notes=(*outcome.value.notes, note)))


def _slice_mm(loaded: LoadedVolume) -> float:
    """Distance or thickness of the slices, whichever is larger: both blur small vessels alike."""
    return max(float(loaded.volume.grid.spacing_kji_mm[0]), loaded.slice_thickness_mm or 0.0)


def _unfit(loaded: LoadedVolume, max_slice_mm: float) -> str:
    """Why the slices of a scan are too few or too thick, empty when they are not."""
    apart_mm, thick_mm = float(loaded.volume.grid.spacing_kji_mm[0]), loaded.slice_thickness_mm
    n_slices = loaded.volume.grid.shape_kji[0]
    if n_slices < MIN_SLICES or n_slices * apart_mm < MIN_COVERAGE_MM:
        found = f"only {n_slices} slices that cover {n_slices * apart_mm:.0f} mm are there"
        needed = f"at least {MIN_SLICES} slices and {MIN_COVERAGE_MM:.0f} mm are needed"
        return f"{found}, {needed}; send the whole series again"
    if round(_slice_mm(loaded), 2) > max_slice_mm:
        thick = "" if thick_mm is None else f" and {thick_mm:.2f} mm thick"
        found, needed = f"slices are {apart_mm:.2f} mm apart{thick}", f"{max_slice_mm} mm or less are needed"
        return f"{found}, {needed}; send the thin series"
    return ""


def _prepare(cta: Volume) -> Assessed[_Head] | NotAssessable:
    brain = find_brain(cta)
    if isinstance(brain, NotAssessable):
        return brain
    pose = register_to_atlas(cta, brain.value)
    return pose if isinstance(pose, NotAssessable) else Assessed(_Head(brain.value, pose.value))


def _judge(cta: Volume, head: _Head, models: Models, config: Config, progress: Progress) -> Assessed[CtaResult] | NotAssessable:
    """Crop along the atlas, find the vessels there, judge them, and bring the map back onto the scan."""
    spacing_mm = models.arteries.manifest.input.spacing_mm
    frame_uid = cta.grid.frame_of_reference_uid
    with progress.stage("cta.crop"):
        crop = head.pose.crop(*ARTERY_BOX_ATLAS_MM, spacing_mm=spacing_mm, frame_of_reference_uid=frame_uid)
        hu = resample(cta, crop, fill=AIR_HU)
    judged = judge_crop(hu, head.pose, cta.grid, models, config, progress=progress)
    with progress.stage("cta.undo_crop"):
        progress.volumes.update(cta=cta, brain=head.brain)
        progress.volumes["arteries"] = paste(judged.vessels["artery"], cta.grid, fill=0.0)
        progress.volumes["vessels"] = paste(likeliest(judged.vessels), cta.grid, fill=0)
    return judged.outcome


def judge_crop(
    hu: Volume, pose: HeadPose, scanned: Grid, models: Models, config: Config, *, progress: Progress | None = None
) -> JudgedCrop:
    """Find the vessels in a crop and judge them: everything after registration.

    Args:
        hu: on a grid of the network's spacing whose axes follow the atlas.
        pose: how the head lies.
        scanned: grid of the scan; what lies outside it was never seen.
        models: network and call.
        config: settings.
        progress: gathers times.
    """
    progress = progress or Progress()
    with progress.stage("cta.arteries"):
        vessels = predict(models.arteries, hu, pose, mirrored=config.cta.mirrored)
    with progress.stage("cta.call"):
        outcome = decode(hu, vessels, pose, scanned=scanned, head=models.call, settings=config.cta)
    return JudgedCrop(outcome, vessels)


def likeliest(vessels: dict[str, Volume]) -> Volume:
    """(K, J, I) codes of `VESSEL_CLASSES`: the likeliest class of every voxel, vessels only where they are sure enough."""
    artery = vessels["artery"]
    trees = np.stack([vessels[name].array for name in ARTERY_TREES])
    codes = np.where(artery.array >= ARTERY_PROBABILITY, trees.argmax(axis=0) + VESSEL_CLASSES.index(ARTERY_TREES[0]), 0)
    for name, sure in (("vein", ARTERY_PROBABILITY), ("clot", CLOT_PROBABILITY)):
        codes[vessels[name].array >= sure] = VESSEL_CLASSES.index(name)
    return Volume(codes.astype(np.uint8), artery.grid, Quantity.LABEL)
