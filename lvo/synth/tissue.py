"""Brain tissue from the MNI152 2009a symmetric maps that ship with nilearn, in atlas LPS.

Source: Fonov et al., NeuroImage 2011, doi:10.1016/j.neuroimage.2010.07.033; packaged by nilearn (1 mm, skull-stripped).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.anatomy import is_below_tentorium as is_cerebellar
from lvo.synth.field import Lattice

__all__ = ["Template", "is_cerebellar", "template"]

_STRIPPED_FLOOR = 0.05
"""T1 above this belongs to the skull-stripped brain with its CSF."""
_CLOSING_MM = 5.0
"""Sulci, fissures and cisterns narrower than twice this become intracranial."""
_CSF_RIM_MM = 2.0
"""Subarachnoid space left between the stripped brain and the bone; the average template is stripped tightly."""
_PAD_MM = 40


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """The average head, as lattices in atlas LPS.

    Args:
        grey: grey matter fraction, 1 mm.
        white: white matter fraction, 1 mm.
        brain: grey + white, smoothed by 1.2 mm: vessels slide down its slope into CSF.
        inner_mm: signed distance to the inner table of the skull, negative inside, 2 mm.
        ventricle: 1 in the ventricles, 1 mm.
    """

    grey: Lattice
    white: Lattice
    brain: Lattice
    inner_mm: Lattice
    ventricle: Lattice


def lattice_from_nibabel_ras(image: Any) -> Lattice:  # noqa: ANN401 - nibabel ships no types
    """Turn an axis-aligned isotropic RAS image into a lattice in LPS: the one place of this room where RAS becomes LPS."""
    data = np.asarray(image.dataobj, dtype=np.float32)
    affine = image.affine
    step = float(affine[0, 0])
    last = affine[:3, :3] @ (np.array(data.shape) - 1.0) + affine[:3, 3]
    array = np.ascontiguousarray(data[::-1, ::-1].transpose(2, 1, 0))
    return Lattice(array, (float(-last[0]), float(-last[1]), float(affine[2, 3])), step)


@cache
def template() -> Template:
    """Load and derive the template once per process (about 3 s)."""
    from nilearn import datasets

    grey = lattice_from_nibabel_ras(datasets.load_mni152_gm_template(resolution=1))
    white = lattice_from_nibabel_ras(datasets.load_mni152_wm_template(resolution=1))
    t1 = lattice_from_nibabel_ras(datasets.load_mni152_template(resolution=1))
    solid = grey.array + white.array
    brain = ndimage.gaussian_filter(solid, 1.2)
    return Template(
        grey=grey,
        white=white,
        brain=Lattice(brain, grey.origin_mm, 1.0),
        inner_mm=_inner_surface(t1),
        ventricle=Lattice(_ventricles(solid, grey), grey.origin_mm, 1.0),
    )


def _inner_surface(t1: Lattice) -> Lattice:
    """Signed distance to the inner table on a 2 mm lattice that reaches beyond the template."""
    mask = np.pad(t1.array > _STRIPPED_FLOOR, _PAD_MM)
    mask[: _PAD_MM + 1] = mask[_PAD_MM + 1]  # the template ends in the medulla: continue the cord downwards
    coarse = mask[::2, ::2, ::2]
    low = np.array(t1.origin_mm) - _PAD_MM
    points = Lattice(coarse.astype(np.float32), (float(low[0]), float(low[1]), float(low[2])), 2.0).points()
    cistern = ellipsoid_mm(points, (0.0, 0.0, -18.0), (15.0, 13.0, 8.0)) < 0
    coarse = coarse | cistern
    # closing by distance: everything within _CLOSING_MM of the brain, then back
    outside = ndimage.distance_transform_edt(~coarse, sampling=2.0)
    grown = outside <= _CLOSING_MM
    depth = ndimage.distance_transform_edt(grown, sampling=2.0)
    closed = (depth > _CLOSING_MM - 1.0) | coarse
    labels, n_parts = ndimage.label(~closed)
    if n_parts > 1:  # ventricles and pockets belong inside
        closed = labels != labels[0, 0, 0]
    signed = ndimage.distance_transform_edt(~closed, sampling=2.0) - ndimage.distance_transform_edt(closed, sampling=2.0)
    smooth = ndimage.gaussian_filter(signed.astype(np.float32), 1.0) - _CSF_RIM_MM
    return Lattice(smooth, (float(low[0]), float(low[1]), float(low[2])), 2.0)


def _ventricles(solid: NDArray[np.float32], lattice: Lattice) -> NDArray[np.float32]:
    """The lateral and third ventricles: clear CSF connected to the frontal horns."""
    x, y, z = np.moveaxis(lattice.points(), -1, 0)
    inside = (np.abs(x) < 38.0) & (y > -38.0) & (y < 58.0) & (z > -12.0) & (z < 32.0)  # a box without cistern or fissure walls
    inside &= ~((y > 26.0) & (np.abs(x) < 14.0))  # the cistern behind the pineal
    inside &= ~((np.abs(x) < 4.0) & ((y < -12.0) | (z > 12.0)))  # the fissure between the hemispheres
    labels, _ = ndimage.label((solid < 0.5) & inside)
    ventricle = np.zeros(solid.shape, dtype=bool)
    for seed in ((-10.0, -22.0, 6.0), (10.0, -22.0, 6.0), (-14.0, 8.0, 22.0), (14.0, 8.0, 22.0), (0.0, 12.0, -2.0)):
        k, j, i = np.rint((np.array(seed) - lattice.origin_mm)[::-1]).astype(int)
        if labels[k, j, i]:
            ventricle |= labels == labels[k, j, i]
    return ndimage.binary_dilation(ventricle, iterations=2).astype(np.float32)


def ellipsoid_mm(
    points: NDArray[np.floating], center: tuple[float, float, float], radii: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Approximate signed distance of (..., 3) points to an ellipsoid, negative inside; exact on its surface."""
    scaled = (points - np.asarray(center, dtype=np.float32)) / np.asarray(radii, dtype=np.float32)
    norm = np.sqrt(np.einsum("...i,...i->...", scaled, scaled))
    return np.asarray((norm - 1.0) * np.float32(min(radii)), dtype=np.float32)
