"""Patches for training: cut from crops, turned, scaled, blurred and noised at random; every patch follows from its number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.utils.data import Dataset

from lvo.infer.window import AIR_HU, normalize
from lvo.train.config import TrainConfig
from lvo.train.shards import Crop
from lvo.train.tubes import ARTERY, BACKGROUND, VEIN

__all__ = ["PatchDataset", "TrainingCrops", "anchors", "augment", "cut"]

Rng = np.random.Generator

_ANCHORS_PER_CLASS = 20_000
_ANCHOR_SHARES = {"artery": 0.5, "vein": 0.2, "bone": 0.15, "any": 0.15}
"""What lies in the middle of a patch cut from a head. Bone next to vessels is the hardest background."""

_BONE_HU = 300.0
_TURN_DEG = 15.0
_ZOOM = 0.1


def anchors(crop: Crop, rng: Rng) -> dict[str, NDArray[np.intp]]:
    """(N, 3) voxels per kind that patches can be centred on; kinds that the crop does not have are left out."""
    bone = (crop.hu > _BONE_HU) & (crop.label == BACKGROUND)
    found = {}
    for name, mask in (("artery", crop.label == ARTERY), ("vein", crop.label == VEIN), ("bone", bone)):
        flat = np.flatnonzero(mask)
        if flat.size:
            chosen = flat if flat.size <= _ANCHORS_PER_CLASS else rng.choice(flat, _ANCHORS_PER_CLASS, replace=False)
            found[name] = np.stack(np.unravel_index(chosen, mask.shape), axis=-1)
    return found


def cut(
    crop: Crop, center_kji: NDArray[np.float64], *, size: int, linear: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Cut a cube around a point through a turned and scaled lattice.

    Args:
        crop: image and labels.
        center_kji: the middle of the cube, voxels.
        size: its edge in voxels.
        linear: (3, 3), voxel steps of the cube in voxels of the crop.

    Returns:
        (size, size, size) HU, air outside the crop, and labels, background outside.
    """
    steps = np.arange(size) - (size - 1) / 2.0
    offset = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"))
    where = np.einsum("ab,bkji->akji", linear, offset) + np.asarray(center_kji).reshape(3, 1, 1, 1)
    hu = ndimage.map_coordinates(crop.hu, where, output=np.float32, order=1, mode="constant", cval=AIR_HU)
    label = ndimage.map_coordinates(crop.label, where, order=0, mode="constant", cval=BACKGROUND)
    return hu, label


def _random_linear(rng: Rng) -> NDArray[np.float64]:
    """A small turn about each axis, a small zoom, and left and right swapped half of the time."""
    linear = np.eye(3)
    if rng.random() < 0.5:
        for first, second in ((0, 1), (0, 2), (1, 2)):
            angle = np.deg2rad(rng.uniform(-_TURN_DEG, _TURN_DEG))
            turn = np.eye(3)
            turn[[first, second], [first, second]] = np.cos(angle)
            turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
            linear = linear @ turn
        linear *= rng.uniform(1.0 - _ZOOM, 1.0 + _ZOOM)
    if rng.random() < 0.5:
        linear[:, 2] *= -1.0
    return linear


def augment(rng: Rng, hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vary brightness, sharpness, slice thickness and noise as scanners do; positions stay."""
    hu = hu * np.float32(rng.uniform(0.85, 1.15)) + np.float32(rng.uniform(-12.0, 12.0))
    if rng.random() < 0.3:
        hu = ndimage.gaussian_filter(hu, rng.uniform(0.3, 0.9))
    if rng.random() < 0.2:
        hu = ndimage.gaussian_filter1d(hu, rng.uniform(0.5, 1.2), axis=0)
    if rng.random() < 0.2:
        hu = hu + np.float32(rng.uniform(0.2, 0.8)) * (hu - ndimage.gaussian_filter(hu, 1.0))  # a sharp kernel
    if rng.random() < 0.6:
        noise = ndimage.gaussian_filter(rng.standard_normal(hu.shape).astype(np.float32), rng.uniform(0.0, 0.8))
        hu = hu + noise / max(float(noise.std()), 1e-6) * np.float32(rng.uniform(0.0, 25.0))
    return hu


@dataclass(frozen=True, slots=True, eq=False)
class TrainingCrops:
    """What a run learns from: crops of the atlas box, and cubes of tubes without anatomy (which may be none)."""

    box: Sequence[Crop]
    cubes: Sequence[Crop] = ()


class PatchDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Patch number n of a run: (1, P, P, P) normalised image and (1, P, P, P) labels.

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
            for pool in (crops.box, crops.cubes)
        )

    def __len__(self) -> int:
        return self._n_patches

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng((self._config.seed, 1_000_000, index))
        box, cubes = self._pools
        pool = cubes if cubes and rng.random() < self._config.data.tube_share else box
        crop, found = pool[rng.integers(len(pool))]
        size = self._config.fit.patch
        kind = str(rng.choice(list(_ANCHOR_SHARES), p=list(_ANCHOR_SHARES.values())))
        if kind in found:
            center = found[kind][rng.integers(len(found[kind]))] + rng.uniform(-size / 4, size / 4, 3)
        else:
            center = rng.uniform(0.0, crop.hu.shape)
        hu, label = cut(crop, center, size=size, linear=_random_linear(rng))
        gamma = np.float32(rng.uniform(0.85, 1.2))
        image = normalize(augment(rng, hu), self._config.network.window_hu) ** gamma
        return torch.from_numpy(image[np.newaxis]), torch.from_numpy(label[np.newaxis].astype(np.int64))
