"""A head made of ellipsoids with a hole in its skull, and the real heads, for the tests of the image room."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lvo.core.grid import Grid, transform
from lvo.core.volume import Quantity, Volume
from lvo.image.atlas import from_nibabel_ras
from lvo.image.resample import coarsen, resample

Move = np.ndarray
"""(4, 4): where a point of the moved head was in the head at rest."""


@dataclass(frozen=True)
class Phantom:
    """Brain, skull with a foramen magnum, scalp, neck, a longer forehead than occiput, and a headrest."""

    contrast: bool = False
    neck: bool = True

    def points(self, grid: Grid, move: Move) -> np.ndarray:
        """Every voxel's position in the head at rest."""
        return transform(move, grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1)))

    def brain(self, points: np.ndarray) -> np.ndarray:
        """Relative distance from the middle, 1 at the skull: narrower in front and above, 1.4 L."""
        x, y, z = np.moveaxis(points, -1, 0)
        return np.sqrt((x / (66 + 0.1 * y - 0.15 * z)) ** 2 + (y / 84) ** 2 + (z / 62) ** 2)

    def inside_dura(self, points: np.ndarray) -> np.ndarray:
        """Truth of the mask: 2 mm below the bone."""
        return (self.brain(points) - 1.0) * 68.0 < -2.0

    def hu(self, points: np.ndarray) -> np.ndarray:
        """Without noise."""
        x, y, z = np.moveaxis(points, -1, 0)
        shell = (self.brain(points) - 1.0) * 68.0  # mm, about
        neck = (np.hypot(x, y - 20) < 52) & (z < 0) & self.neck
        hole = (np.hypot(x, y - 25) < 15) & (z < 0)
        hu = np.where((shell < 12) | neck, 40.0, -1000.0)
        hu = np.where((shell >= 0) & (shell < 7) & ~hole, 1000.0, hu)
        hu = np.where(shell < 0, 35.0, hu)
        spine = neck & (z < -68) & (np.abs(np.hypot(x, y - 25) - 15) < 4)
        ventricle = np.hypot(np.hypot((np.abs(x) - 10) / 7, (y + 15) / 28), (z - 15) / 12) < 1
        hu = np.where(spine, 800.0, np.where(ventricle, 8.0, hu))
        if self.contrast:
            hu = np.where((np.hypot(y + 5, z + 15) < 2.5) & (np.abs(x) < 40), 420.0, hu)
            hu = np.where((np.hypot(x, y - 20) < 2.5) & (z > -80) & (z < -15), 420.0, hu)
        headrest = (np.abs(np.hypot(x, y - 20) - 125) < 3) & (y > 40)
        return np.where(headrest, 250.0, hu)

    def on(self, grid: Grid, move: Move | None = None) -> Volume:
        """Scan it."""
        hu = self.hu(self.points(grid, np.eye(4) if move is None else move))
        return Volume(hu.astype(np.float32), grid, Quantity.HU)


@pytest.fixture(scope="session")
def turned() -> Callable[..., Move]:
    """Make the move of a head that was turned about x, then y, then z (degrees) around a point, and shifted (mm)."""

    def make(angles_deg=(0, 0, 0), shift_mm=(0, 0, 0), about=(0, 0, 0)) -> Move:
        move = np.eye(4)
        move[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
        move[:3, 3] = np.asarray(about) - move[:3, :3] @ (np.asarray(about) + np.asarray(shift_mm))
        return move

    return make


@pytest.fixture(scope="session")
def awkward_grid() -> Callable[..., Grid]:
    """Make a grid around a point: three sizes, three spacings, off the origin."""

    def make(spacing_kji_mm=(3.0, 1.9, 2.1), size_mm=(230.0, 250.0, 236.0), center=(0.0, 0.0, -10.0), axes=None) -> Grid:
        shape = tuple(int(n) for n in np.array(size_mm) / spacing_kji_mm)
        axes = np.eye(3)[::-1] if axes is None else axes
        origin = np.asarray(center) - ((np.array(shape) - 1) / 2 * spacing_kji_mm) @ axes
        return Grid.from_axes(shape, spacing_kji_mm, origin_lps_mm=origin, axes_lps=axes, frame_of_reference_uid="1.2")

    return make


@pytest.fixture(scope="session")
def moved() -> Callable[[Volume, Move, Grid], Volume]:
    """Scan a head, given as an image, after a move, on a grid; -1024 where the first scan ended."""

    def make(volume: Volume, move: Move, grid: Grid) -> Volume:
        seen = Grid(grid.shape_kji, move @ grid.lps_from_kji)
        return Volume(resample(volume, seen, fill=-1024.0).array, grid, volume.quantity)

    return make


@pytest.fixture(scope="session")
def real_heads(real_data: Path) -> dict[str, Volume]:
    """The two real heads, averaged to voxels of at least 1.2 mm."""
    files = {"ge": "ncct_ge_tilt/ge_dcm2niix_Tilt_Eq.nii.gz", "cranium": "ncct_cranium/cranium_lps.nii.gz"}
    heads = {}
    for name, file in files.items():
        image = nibabel.load(real_data / file)
        head = from_nibabel_ras(np.asanyarray(image.dataobj), image.affine, Quantity.HU)
        heads[name] = coarsen(head, 1.2) if name == "ge" else head
    return heads
