"""Scans with their outcome, brought onto one grid of the atlas; turned, blurred and noised by MONAI's transforms."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import torch
from monai.transforms import Compose, RandAdjustContrast, RandAffine, RandGaussianNoise, RandGaussianSmooth
from numpy.typing import NDArray
from scipy import ndimage
from torch.utils.data import Dataset

from lvo.core.outcome import NotAssessable
from lvo.core.report import Side, Site
from lvo.core.volume import AIR_HU
from lvo.infer.window import normalize
from lvo.synth.cases import Case, draw_case, split_of
from lvo.train.baseline.config import BaselineConfig
from lvo.train.call import COVERED_SITES, stops_of_case
from lvo.train.config import DataSettings, ManifestSettings
from lvo.train.datasets.manifest import Entry, Split
from lvo.train.manifest_data import Source, cached_crop, read_sources
from lvo.train.shards import Crop, ensure_crops, load_crop

__all__ = ["Example", "ExampleDataset", "Examples", "gather_examples", "on_atlas", "outcome"]

_PLACE = {Side.LEFT: (0,), Side.RIGHT: (1,), Side.BOTH: (0, 1), Side.MIDLINE: (2,)}
_TURN_RAD, _ZOOM, _SHIFT_MM = 0.12, 0.08, 5.0
"""What registrations leave and heads differ by."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One scan.

    Args:
        study: digits and points, as a StudyInstanceUID: the seed of a synthetic scan, else made of patient and image.
        name: to show; the seed or the subject.
        hu: (K, J, I) int16 on the grid of `DataSettings.shape_kji` along the atlas.
        occluded: (3,) whether an artery is occluded in each of `PLACES`.
        known: (3,) whether that is known; of arteries that nobody judges it is neither.
        site, part: of the main occlusion, empty where there is none or nobody says.
    """

    study: str
    name: str
    hu: NDArray[np.int16]
    occluded: NDArray[np.bool_]
    known: NDArray[np.bool_]
    site: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What a run learns from, what chooses its checkpoint, what it is judged on; what could not be used, with the reason."""

    training: tuple[Example, ...]
    validation: tuple[Example, ...]
    judged: tuple[Example, ...]
    left_out: tuple[tuple[str, str], ...] = ()


def outcome(stops: Iterable[tuple[Side, Site | None]]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each of `PLACES` is occluded, and whether that is known.

    Args:
        stops: side and artery of every occlusion; an artery that is not named counts, one that the call does not judge makes
            its side unknown.
    """
    occluded, known = np.zeros(3, dtype=bool), np.ones(3, dtype=bool)
    for side, site in stops:
        for place in _PLACE[side]:
            if site is None or site in COVERED_SITES:
                occluded[place] = True
            elif not occluded[place]:
                known[place] = False
    return occluded, known | occluded


def on_atlas(crop: Crop, settings: DataSettings) -> NDArray[np.int16]:
    """(K, J, I) HU on the grid of the box, which is the same for every scan."""
    wanted = [np.arange(n) * settings.spacing_mm for n in settings.shape_kji]
    low = np.array(settings.low_atlas_mm)[::-1]
    corner, step = crop.corner_atlas_mm[::-1], crop.step_atlas_mm[::-1]
    index = np.stack(np.meshgrid(*((low[n] + wanted[n] - corner[n]) / step[n] for n in range(3)), indexing="ij"))
    values = ndimage.map_coordinates(crop.hu.astype(np.float32), index, order=1, mode="nearest")
    return np.rint(np.clip(values, AIR_HU, None)).astype(np.int16)


def gather_examples(
    config: BaselineConfig, cache: Path, *, workers: int = 1, progress: Callable[[str], None] = lambda _: None
) -> Examples:
    """Render and register what is not cached yet, and bring it onto one grid.

    Args:
        config: of the run.
        cache: folder of crops, as for the artery network.
        workers: processes that render.
        progress: told a line after each scan that was not there yet.

    Raises:
        InputError: a manifest cannot be read, a patient is in two splits, or a file changed.
    """
    other = msgspec.structs.replace(config.data, topologies=_JUDGED)
    judged = _synthetic(other, range(*config.judged_seeds), cache, workers, progress)
    training: tuple[Example, ...] = ()
    validation: tuple[Example, ...] = ()
    left_out: list[tuple[str, str]] = []
    manifests = config.manifests if isinstance(config.manifests, ManifestSettings) else None
    if manifests is None or manifests.share < 1.0:
        training = _synthetic(config.data, range(*config.data.training_seeds), cache, workers, progress)
        validation = _synthetic(config.data, range(*config.data.validation_seeds), cache, workers, progress)
    if manifests is not None:
        sources = read_sources(manifests.paths)
        parts = [_registered(sources, split, config.data, cache, progress, left_out) for split in _SPLITS]
        training, validation, judged = (*training, *parts[0]), (*validation, *parts[1]), (*judged, *parts[2])
    return Examples(training, validation, judged, tuple(left_out))


_SPLITS: tuple[Split, ...] = ("training", "validation", "test")
_JUDGED: tuple[Literal["grown"], ...] = ("grown",)
"""Arteries of the evaluation set, as `lvo.synth.cases.draw_case` has them: of a generator that nothing learns from."""


def _synthetic(
    settings: DataSettings, seeds: range, cache: Path, workers: int, progress: Callable[[str], None]
) -> tuple[Example, ...]:
    paths = ensure_crops(cache, seeds, settings, "cases", workers=workers, progress=progress)
    return tuple(
        _drawn(draw_case(seed, split_of(seed), topologies=settings.topologies), on_atlas(load_crop(path), settings))
        for seed, path in zip(seeds, paths, strict=True)
    )


def _drawn(case: Case, hu: NDArray[np.int16]) -> Example:
    """A synthetic scan with the truth of its head."""
    main = case.head.occlusion
    site, part = ("", "") if main is None else (main.site.value, main.part)
    return Example(str(case.seed), str(case.seed), hu, *outcome(stops_of_case(case)), site, part)


def _registered(
    sources: Sequence[Source], split: Split, settings: DataSettings, cache: Path, progress: Callable[[str], None],
    left_out: list[tuple[str, str]],
) -> tuple[Example, ...]:  # fmt: skip
    """Scans of manifests whose outcome is known; reasons of the others are added to `left_out`."""
    out = []
    for source in sources:
        for entry in source.manifest.of(split):
            known = _known(entry)
            if not isinstance(known, NotAssessable):
                crop = cached_crop(_cached_at(cache, entry, settings), source, entry, settings, labels=False, progress=progress)
                if not isinstance(crop, NotAssessable):
                    out.append(Example(_study(entry), entry.subject, on_atlas(crop, settings), *known, entry.site))
                    continue
                known = crop
            left_out.append((entry.subject, "; ".join(known.reasons)))
    return tuple(out)


def _known(entry: Entry) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | NotAssessable:
    if entry.occluded is None:
        return NotAssessable(("nobody says whether a vessel is occluded",))
    if entry.occluded and not entry.side:
        return NotAssessable(("nobody says on which side a vessel is occluded",))
    site = Site(entry.site) if entry.site else None
    return outcome([(Side(entry.side), site)] if entry.occluded else [])


def _study(entry: Entry) -> str:
    """A name of digits and points, as of a UUID (DICOM PS3.5 B.2), that a table of results can carry."""
    content = f"{entry.patient}/{entry.image.sha256}".encode()
    return f"2.25.{int(hashlib.sha256(content).hexdigest()[:31], 16)}"


def _cached_at(cache: Path, entry: Entry, settings: DataSettings) -> Path:
    """A name that changes with the image and the box."""
    image = entry.native or entry.image
    key = hashlib.sha256(f"{image.sha256}/{entry.angiogram}/{settings.sha256}".encode()).hexdigest()[:24]
    return cache / "outcomes" / f"{key}.npz"


class ExampleDataset(Dataset[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]):
    """Item n of a run: (1, K, J, I) image, (3,) occluded and (3,) weight, as float32; it is the same whatever the workers do.

    Args:
        examples: what is shown; every epoch shows all of them in an order of its own.
        config: of the run.
    """

    def __init__(self, examples: Sequence[Example], config: BaselineConfig) -> None:
        self._examples, self._config = examples, config
        shift = _SHIFT_MM / config.data.spacing_mm
        self._vary = Compose([
            RandAffine(
                prob=0.7, rotate_range=(_TURN_RAD,) * 3, scale_range=(_ZOOM,) * 3, translate_range=(shift,) * 3,
                mode="bilinear", padding_mode="border",
            ),
            RandGaussianSmooth(prob=0.3, sigma_x=(0.2, 0.8), sigma_y=(0.2, 0.8), sigma_z=(0.2, 0.8)),
            RandAdjustContrast(prob=0.5, gamma=(0.8, 1.25)),
            RandGaussianNoise(prob=0.5, std=0.02),
        ])  # fmt: skip

    def __len__(self) -> int:
        return self._config.fit.epochs * len(self._examples)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        epoch, position = divmod(index, len(self._examples))
        order = np.random.default_rng((self._config.seed, 1, epoch)).permutation(len(self._examples))
        example = self._examples[order[position]]
        rng = np.random.default_rng((self._config.seed, 2, index))
        image = torch.from_numpy(normalize(example.hu, self._config.network.window_hu)[np.newaxis])
        self._vary.set_random_state(seed=int(rng.integers(2**31)))
        varied = torch.as_tensor(self._vary(image)).float()
        places = [1, 0, 2] if rng.random() < 0.5 else [0, 1, 2]
        if places[0] == 1:
            varied = varied.flip(-1)
        occluded, known = (torch.from_numpy(values[places].astype(np.float32)) for values in (example.occluded, example.known))
        return varied.contiguous(), occluded, known
