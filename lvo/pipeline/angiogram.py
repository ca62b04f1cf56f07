"""CT angiogram: files to finding."""

from dataclasses import dataclass

from lvo.config import Config
from lvo.core.anatomy import ARTERY_BOX_ATLAS_MM
from lvo.core.outcome import Absent, Assessed, NotAssessable, Outcome
from lvo.core.pose import HeadPose
from lvo.core.report import CtaResult
from lvo.core.volume import AIR_HU, Volume
from lvo.cta.decode import decode
from lvo.dicom.facts import MIN_COVERAGE_MM, MIN_SLICES
from lvo.dicom.load import LoadedVolume, load_volume
from lvo.dicom.select import Selection
from lvo.errors import InputError
from lvo.image.brain import find_brain
from lvo.image.register import register_to_atlas
from lvo.image.resample import resample
from lvo.infer import predict
from lvo.pipeline.records import Models, Progress

__all__ = ["Angiogram", "analyze_angiogram"]


@dataclass(frozen=True, slots=True, eq=False)
class Angiogram:
    """What became of the CT angiogram; `loaded` and `pose` are None when it did not come that far."""

    outcome: Outcome[CtaResult]
    loaded: LoadedVolume | None = None
    pose: HeadPose | None = None


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
    apart_mm, thick_mm = float(loaded.volume.grid.spacing_kji_mm[0]), loaded.slice_thickness_mm
    n_slices = loaded.volume.grid.shape_kji[0]
    if n_slices < MIN_SLICES or n_slices * apart_mm < MIN_COVERAGE_MM:
        found = f"only {n_slices} slices that cover {n_slices * apart_mm:.0f} mm are there"
        needed = f"at least {MIN_SLICES} slices and {MIN_COVERAGE_MM:.0f} mm are needed"
        return Angiogram(NotAssessable((f"CT angiogram: {found}, {needed}; send the whole series again",)), loaded)
    if max(apart_mm, thick_mm or 0.0) > config.cta.max_slice_mm:
        thick = "" if thick_mm is None else f" and {thick_mm:.2f} mm thick"
        found, needed = f"slices are {apart_mm:.2f} mm apart{thick}", f"{config.cta.max_slice_mm} mm or less are needed"
        return Angiogram(NotAssessable((f"CT angiogram: {found}, {needed}; send the thin series",)), loaded)
    with progress.stage("cta.prepare"):
        head = _prepare(loaded.volume)
    if isinstance(head, NotAssessable):
        return Angiogram(NotAssessable(tuple(f"CT angiogram: {reason}" for reason in head.reasons)), loaded)
    outcome = _judge(loaded.volume, head.value, models, config, progress)
    return Angiogram(outcome, loaded, head.value.pose)


def _prepare(cta: Volume) -> Assessed[_Head] | NotAssessable:
    brain = find_brain(cta)
    if isinstance(brain, NotAssessable):
        return brain
    pose = register_to_atlas(cta, brain.value)
    return pose if isinstance(pose, NotAssessable) else Assessed(_Head(brain.value, pose.value))


def _judge(cta: Volume, head: _Head, models: Models, config: Config, progress: Progress) -> Assessed[CtaResult] | NotAssessable:
    """Crop along the atlas, find the arteries there, judge them, and bring the map back onto the scan."""
    spacing_mm = models.arteries.manifest.input.spacing_mm
    frame_uid = cta.grid.frame_of_reference_uid
    crop = head.pose.crop(*ARTERY_BOX_ATLAS_MM, spacing_mm=spacing_mm, frame_of_reference_uid=frame_uid)
    with progress.stage("cta.arteries"):
        hu = resample(cta, crop, fill=AIR_HU)
        vessels = predict(models.arteries, hu)
    with progress.stage("cta.call"):
        outcome = decode(
            hu, vessels["artery"], vessels["vein"], head.pose, scanned=cta.grid, head=models.call, settings=config.cta
        )
    with progress.stage("cta.undo_crop"):
        progress.volumes.update(cta=cta, brain=head.brain, arteries=resample(vessels["artery"], cta.grid, fill=0.0))
    return outcome
