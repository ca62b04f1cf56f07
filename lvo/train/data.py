"""Patches for training: cut from crops, turned, scaled, blurred and noised at random; every patch follows from its number."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.utils.data import Dataset

from lvo.core.volume import AIR_HU
from lvo.errors import InputError
from lvo.infer.window import normalize, place_channels
from lvo.synth.render import CLOT_CLASS, UNSURE_CLASS, VEIN_CLASS
from lvo.train.config import TrainConfig
from lvo.train.shards import Crop

__all__ = ["PatchDataset", "TrainingCrops", "anchors", "augment", "cut"]

Rng = np.random.Generator

_ANCHORS_PER_KIND = 4000
_ANCHOR_SHARES = {"artery": 0.45, "clot": 0.2, "vein": 0.12, "bone": 0.11, "any": 0.12}
"""What lies near the middle of a patch, where the crop has it. Bone next to vessels is the hardest background."""

_BONE_HU = 300.0
_TURNED = 0.5
"""Share of the patches that are turned and scaled; the others are copied, which is ten times faster."""
_TURN_DEG = 15.0
_ZOOM = 0.12
_PLACE_ERROR_MM = 2.0
"""Individual anatomy, on top of the registration error that the crops have."""
_SOFT_HU = 40.0
_CONTRAST = (0.7, 1.3)
"""Dose and timing change how far everything stands out from soft tissue."""


def anchors(crop: Crop, rng: Rng) -> dict[str, NDArray[np.int16]]:
    """(N, 3) voxels per kind that patches can be centred on; kinds that the crop does not have are left out."""
    classes = crop.classes
    masks = {
        "artery": (classes > 0) & (classes != VEIN_CLASS) & (classes != CLOT_CLASS) & (classes != UNSURE_CLASS),
        "clot": classes == CLOT_CLASS,
        "vein": classes == VEIN_CLASS,
        "bone": (crop.hu > _BONE_HU) & (classes == 0),
    }
    found = {}
    for name, mask in masks.items():
        flat = np.flatnonzero(mask)
        if flat.size:
            chosen = flat if flat.size <= _ANCHORS_PER_KIND else rng.choice(flat, _ANCHORS_PER_KIND, replace=False)
            found[name] = np.stack(np.unravel_index(chosen, mask.shape), axis=-1).astype(np.int16)
    return found


def cut(
    crop: Crop, center_kji: NDArray[np.float64], *, size: int, linear: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float64]]:
    """Cut a cube around a point through a turned, scaled or mirrored lattice.

    Args:
        crop: image and classes.
        center_kji: the middle of the cube, voxels.
        size: its edge in voxels.
        linear: (3, 3), voxel steps of the cube in voxels of the crop.

    Returns:
        (size, size, size) HU, air outside the crop; classes, background outside; (size, size, size, 3) positions, atlas LPS mm.
    """
    steps = np.arange(size) - (size - 1) / 2.0
    middle = np.asarray(center_kji, dtype=np.float64)
    if np.array_equal(np.abs(linear), np.eye(3)):  # voxels fall on voxels once the middle is rounded to one
        middle = np.floor(middle) + (0.5 if size % 2 == 0 else 0.0)
        axes = [np.rint(m + steps * linear[a, a]).astype(int) for a, m in enumerate(middle)]
        at = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        places = crop.corner_atlas_mm + at[..., ::-1] * crop.step_atlas_mm
        return _copied(crop.hu, axes, AIR_HU).astype(np.float32), _copied(crop.classes, axes, 0).astype(np.uint8), places
    offset = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"))
    where = np.einsum("ab,bkji->akji", linear, offset) + middle.reshape(3, 1, 1, 1)
    hu = np.asarray(ndimage.map_coordinates(crop.hu, where, output=np.float32, order=1, mode="constant", cval=AIR_HU))
    classes = np.asarray(ndimage.map_coordinates(crop.classes, where, order=0, mode="constant", cval=0), dtype=np.uint8)
    return (
        hu.astype(np.float32, copy=False),
        classes,
        crop.corner_atlas_mm + np.moveaxis(where, 0, -1)[..., ::-1] * crop.step_atlas_mm,
    )


def _copied(source: NDArray[np.generic], axes: list[NDArray[np.int_]], fill: float) -> NDArray[np.generic]:
    """Voxels at the crossings of three lists of indices; those outside are filled."""
    out = np.full([len(axis) for axis in axes], fill, dtype=source.dtype)
    inside = [(axis >= 0) & (axis < n) for axis, n in zip(axes, source.shape, strict=True)]
    chosen = [axis[mask] for axis, mask in zip(axes, inside, strict=True)]
    out[np.ix_(*inside)] = source[np.ix_(*chosen)]
    return out


def _random_linear(rng: Rng) -> NDArray[np.float64]:
    """A small turn about each axis and a small zoom, or neither, and left and right swapped half of the time."""
    linear = np.eye(3)
    if rng.random() < _TURNED:
        for first, second in ((0, 1), (0, 2), (1, 2)):
            angle = np.deg2rad(rng.uniform(-_TURN_DEG, _TURN_DEG))
            turn = np.eye(3)
            turn[[first, second], [first, second]] = np.cos(angle)
            turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
            linear = linear @ turn
        linear *= rng.uniform(1.0 - _ZOOM, 1.0 + _ZOOM, 3)
    if rng.random() < 0.5:
        linear[:, 2] *= -1.0
    return linear


def augment(rng: Rng, hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vary contrast, sharpness, slice thickness and noise as scanners do; positions stay."""
    hu = (hu - np.float32(_SOFT_HU)) * np.float32(rng.uniform(*_CONTRAST)) + np.float32(_SOFT_HU + rng.uniform(-12.0, 12.0))
    if rng.random() < 0.25:
        hu = ndimage.gaussian_filter(hu, rng.uniform(0.3, 0.8))
    if rng.random() < 0.2:
        hu = ndimage.gaussian_filter1d(hu, rng.uniform(0.5, 1.6), axis=0)
    if rng.random() < 0.2:
        hu = hu + np.float32(rng.uniform(0.2, 0.8)) * (hu - ndimage.gaussian_filter(hu, 1.0))  # a sharp kernel
    if rng.random() < 0.5:
        noise = rng.standard_normal(hu.shape, dtype=np.float32)
        if rng.random() < 0.6:
            noise = ndimage.gaussian_filter(noise, rng.uniform(0.3, 0.8))
        hu = hu + noise / max(float(noise.std()), 1e-6) * np.float32(rng.uniform(0.0, 22.0))
    return hu


@dataclass(frozen=True, slots=True, eq=False)
class TrainingCrops:
    """What a run learns from: crops of the atlas box, cubes of tubes without anatomy, and crops of real scans.

    Each may be none, but not all.
    """

    box: Sequence[Crop]
    cubes: Sequence[Crop] = ()
    real: Sequence[Crop] = ()


class PatchDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Patch number n of a run: (4, P, P, P) `IMAGE_CHANNELS` and (P, P, P) classes.

    Args:
        crops: what patches are cut from.
        config: of the run.
        n_patches: how many patches the run needs; number n is the same whatever this is.
    """

    def __init__(self, crops: TrainingCrops, config: TrainConfig, n_patches: int) -> None:
        self._config = config
        self._n_patches = n_patches
        self._pools = tuple(
            [(crop, anchors(crop, np.random.default_rng((config.seed, n)))) for n, crop in enumerate(pool)]
            for pool in (crops.box, crops.cubes, crops.real)
        )
        if not self._pools[0] and not self._pools[2]:
            msg = "there is nothing to learn from: no synthetic head and no real scan"
            raise InputError(msg)

    def __len__(self) -> int:
        return self._n_patches

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng((self._config.seed, 1_000_000, index))
        pool = self._pool(rng)
        crop, found = pool[rng.integers(len(pool))]
        size = self._config.fit.patch
        kind = str(rng.choice(list(_ANCHOR_SHARES), p=list(_ANCHOR_SHARES.values())))
        if kind in found:
            center = found[kind][rng.integers(len(found[kind]))] + rng.uniform(-size / 4, size / 4, 3)
        else:
            center = rng.uniform(0.0, crop.hu.shape)
        hu, classes, points_atlas_mm = cut(crop, center, size=size, linear=_random_linear(rng))
        gamma = np.float32(rng.uniform(0.9, 1.1))
        image = normalize(augment(rng, hu), self._config.network.window_hu) ** gamma
        place = place_channels(points_atlas_mm + rng.normal(0.0, _PLACE_ERROR_MM, 3))
        return torch.from_numpy(np.concatenate([image[np.newaxis], place])), torch.from_numpy(np.ascontiguousarray(classes))

    def _pool(self, rng: Rng) -> list[tuple[Crop, dict[str, NDArray[np.int16]]]]:
        """Where the next patch is cut from."""
        box, cubes, real = self._pools
        share = 0.0 if isinstance(self._config.manifests, msgspec.UnsetType) else self._config.manifests.share
        if real and (not box or rng.random() < share):
            return real
        return cubes if cubes and rng.random() < self._config.data.tube_share else box
