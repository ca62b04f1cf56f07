"""Crops on disk: one compressed file per seed, rendered once, the same bits wherever they are rendered.

A file is named by its seed and lies in a folder named by the settings that shaped it, so that a change of settings never
mixes with old crops. A change of the code of `lvo.synth` is not seen: empty the cache after one.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.errors import InputError
from lvo.synth.cases import draw_case, split_of
from lvo.synth.cropped import RegistrationError, scan_case
from lvo.train.config import DataSettings
from lvo.train.tubes import tube_patch

__all__ = ["Crop", "Kind", "ensure_crops", "load_crop", "place_of", "render_crop", "save_crop", "shard_path"]


Kind: TypeAlias = Literal["cases", "tubes", "cubes"]


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One training image.

    Args:
        hu: (K, J, I) int16.
        classes: (K, J, I) uint8, as `lvo.synth.render.class_labels` codes them; tubes are `ANY_ARTERY`.
        corner_atlas_mm: (3,) where its first voxel lies, atlas LPS mm, as the registration has it.
        step_atlas_mm: (3,) distance between voxels along atlas x, y and z.
    """

    hu: NDArray[np.int16]
    classes: NDArray[np.uint8]
    corner_atlas_mm: NDArray[np.float64]
    step_atlas_mm: NDArray[np.float64]


def render_crop(seed: int, settings: DataSettings, kind: Kind) -> Crop:
    """Make the crop of one seed; the same seed, settings and kind give the same bits.

    Args:
        seed: of everything random in it.
        settings: what it looks like.
        kind: "cases" and "tubes" cover the atlas box; "cubes" are tubes in a cube somewhere in it.
    """
    box = np.array([settings.low_atlas_mm, settings.high_atlas_mm])
    if kind == "cases":
        scanned = scan_case(
            draw_case(seed, split_of(seed), topologies=settings.topologies),
            spacing_mm=settings.spacing_mm,
            box_atlas_mm=(settings.low_atlas_mm, settings.high_atlas_mm),
            error=RegistrationError(settings.rotation_deg, settings.shift_mm, settings.scale),
        )
        return Crop(scanned.hu.array, scanned.classes.array, *place_of(scanned.hu.grid, scanned.pose))
    rng = np.random.default_rng(seed)
    shape = (settings.tube_edge,) * 3 if kind == "cubes" else settings.shape_kji
    hu, classes = tube_patch(rng, (shape[0], shape[1], shape[2]), settings.spacing_mm)
    size_mm = np.array(shape[::-1]) * settings.spacing_mm
    corner = rng.uniform(box[0], np.maximum(box[1] - size_mm, box[0] + 1e-6))
    return Crop(np.round(hu).astype(np.int16), classes, corner, np.full(3, settings.spacing_mm))


def place_of(grid: Grid, pose: HeadPose) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corner and steps of a crop in the atlas, whose axes it follows."""
    corner, further = pose.to_atlas_mm(grid.to_lps_mm([(0, 0, 0), (1, 1, 1)]))
    return corner, further - corner


def shard_path(cache: Path, seed: int, settings: DataSettings, kind: Kind) -> Path:
    """Where the crop of a seed is cached."""
    return cache / f"{kind}-{settings.sha256[:12]}" / f"{seed:06d}.npz"


def save_crop(path: Path, crop: Crop) -> None:
    """Write a crop, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part.npz")
    parts = {field.name: getattr(crop, field.name) for field in fields(crop)}
    np.savez_compressed(temporary, **parts)
    temporary.replace(path)


def load_crop(path: Path) -> Crop:
    """Read a crop.

    Raises:
        InputError: the file is no crop.
    """
    try:
        with np.load(path) as stored:
            return Crop(*(stored[field.name] for field in fields(Crop)))
    except (OSError, KeyError, ValueError) as error:
        msg = f"{path} is not a readable crop; delete it, and it is rendered again"
        raise InputError(msg) from error


def _ensure_one(seed: int, *, cache: Path, settings: DataSettings, kind: Kind) -> Path:
    path = shard_path(cache, seed, settings, kind)
    if not path.exists():
        save_crop(path, render_crop(seed, settings, kind))
    return path


def ensure_crops(
    cache: Path,
    seeds: range,
    settings: DataSettings,
    kind: Kind,
    *,
    workers: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Path, ...]:
    """Render the crops that are not cached yet.

    Args:
        cache: folder of the cache.
        seeds: one crop each.
        settings: what they look like.
        kind: as for `render_crop`.
        workers: processes; with 1 everything happens in this one.
        progress: told a line after each crop that was not there yet.

    Returns:
        One path per seed, in their order.
    """
    paths = tuple(shard_path(cache, seed, settings, kind) for seed in seeds)
    missing = [seed for seed, path in zip(seeds, paths, strict=True) if not path.exists()]
    work = partial(_ensure_one, cache=cache, settings=settings, kind=kind)
    for n_done, path in enumerate(_render_missing(missing, work, workers), start=1):
        progress(f"rendered {kind} {path.name} ({n_done} of {len(missing)})")
    return paths


def _render_missing(seeds: list[int], work: Callable[[int], Path], workers: int) -> Iterator[Path]:
    """Do the work here or in fresh processes; results in the order of the seeds."""
    if workers <= 1 or len(seeds) <= 1:
        yield from map(work, seeds)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, seeds)
