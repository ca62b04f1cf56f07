"""Everything around the brain: bone with canals and air cells, face, scalp and neck, as signed distances in the atlas.

Shapes are simplified on purpose and varied by seed; a network trained here must meet bone next to vessels, thin plates,
air, fat and muscle, not portraits. Positions are atlas LPS mm, read off general anatomy, good to some millimetres.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lvo.core.report import Side
from lvo.synth.field import Lattice, SmoothField
from lvo.synth.mimics import Craniotomy, OldInfarct
from lvo.synth.tissue import ellipsoid_mm, template

__all__ = ["HeadShape", "SolidFields", "draw_shape", "solid_fields", "tissue_fractions"]

Floats = NDArray[np.float32]

_TEXTURE_SIZE = 48
_TEXTURE_STEP_MM = 2.5
_SAW_MM = 3.0
"""Width of the cut about a bone flap."""
_VERTEBRA_MM = 17.0
"""Height of a cervical vertebra with its disc."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadShape:
    """What varies from head to head outside the brain.

    Args:
        skull_mm: mean thickness of the vault.
        skull_field: its variation.
        scalp_mm: thickness of the scalp.
        face_scale: size of face and jaw.
        sinus_scale: size of the air sinuses.
        pneumatised: 0 to 1, how far air cells fill mastoid and petrous bone.
        texture: random lattice for fat, diploe and air cells.
        neck: whether the neck below the skull base is there.
        csf_floor: tissue fraction below which a voxel is all CSF: widens the sulci.
        operated: flaps cut out of the vault.
        lost: dead parts of the brain, full of CSF.
    """

    skull_mm: float
    skull_field: SmoothField
    scalp_mm: float
    face_scale: float
    sinus_scale: float
    pneumatised: float
    texture: Lattice
    neck: bool
    csf_floor: float
    operated: tuple[Craniotomy, ...] = ()
    lost: tuple[OldInfarct, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SolidFields:
    """Signed distances in mm, negative inside, and textures, at the same points.

    Args:
        inner: inner table of the skull.
        bone: bone.
        cells: air inside the head.
        skin: outer surface of the head.
        fat: fat fraction of extracranial soft tissue, 0 to 1.
        texture: -1 to 1, for diploe and marrow.
    """

    inner: Floats
    bone: Floats
    cells: Floats
    skin: Floats
    fat: Floats
    texture: Floats


def draw_shape(rng: np.random.Generator, *, neck: bool) -> HeadShape:
    """Draw the shape of one head."""
    noise = rng.standard_normal((_TEXTURE_SIZE,) * 3).astype(np.float32)
    return HeadShape(
        skull_mm=float(rng.uniform(5.0, 9.0)),
        skull_field=SmoothField.random(rng, sd_mm=0.9, wavelength_mm=(35.0, 90.0)),
        scalp_mm=float(rng.uniform(4.5, 8.5)),
        face_scale=float(rng.uniform(0.92, 1.06)),
        sinus_scale=float(rng.uniform(0.75, 1.15)),
        pneumatised=float(rng.uniform(0.2, 1.0)),
        texture=Lattice(noise, (0.0, 0.0, 0.0), _TEXTURE_STEP_MM, wrap=True),
        neck=neck,
        csf_floor=float(rng.uniform(0.05, 0.4)),
    )


def solid_fields(shape: HeadShape, points_mm: Floats, canals: tuple[tuple[NDArray[np.float64], float], ...]) -> SolidFields:
    """Evaluate the head at (..., 3) atlas points.

    Args:
        shape: the head.
        points_mm: atlas points.
        canals: course and radius of the channels that arteries take through bone.
    """
    texture = np.clip(shape.texture.at(points_mm) * 0.6, -1.0, 1.0)
    inner = template().inner_mm.at(points_mm)
    cells = _air(shape, points_mm, inner, texture)
    bone = _bone(shape, points_mm, inner, cells, canals)
    skin = _skin(shape, points_mm, inner)
    fat = _fat(points_mm, skin, texture)
    return SolidFields(inner, bone, cells, skin, fat, texture)


def tissue_fractions(shape: HeadShape, points: Floats) -> tuple[Floats, Floats]:
    """Grey and white fractions at (..., 3) atlas points with the head's own sulci; the cord goes on below the template."""
    grey, white = template().grey.at(points), template().white.at(points)
    total = grey + white
    floor = shape.csf_floor
    wanted = np.clip((total - floor) / (0.92 - floor), 0.0, 1.0)
    gain = np.where(total > 1e-3, wanted / np.maximum(total, 1e-3), 0.0).astype(np.float32)
    for hole in shape.lost:
        sign = -1.0 if hole.side is Side.RIGHT else 1.0
        middle = (sign * hole.center_mm[0], hole.center_mm[1], hole.center_mm[2])
        rough = ellipsoid_mm(points, middle, hole.radii_mm) + 3.0 * shape.texture.at(0.4 * points)
        gain = gain * np.clip(0.5 + rough / 3.0, 0.05, 1.0)
    below = points[..., 2] < -71.0
    cord = np.hypot(points[..., 0], points[..., 1] - 46.0) < 6.0
    grey = np.where(below, 0.0, grey * gain).astype(np.float32)
    white = np.where(below, cord * np.float32(1.0), white * gain).astype(np.float32)
    return grey, white


def _capsule(points: Floats, start: tuple[float, float, float], end: tuple[float, float, float], radius: float) -> Floats:
    """Signed distance to a capsule."""
    first = np.asarray(start, dtype=np.float32)
    axis = np.asarray(end, dtype=np.float32) - first
    along = np.clip((points - first) @ axis / np.float32(axis @ axis), 0.0, 1.0)
    return np.asarray(np.linalg.norm(points - first - along[..., None] * axis, axis=-1) - radius, dtype=np.float32)


def _air(shape: HeadShape, points: Floats, inner: Floats, texture: Floats) -> Floats:
    """Air sinuses, nasal cavity, airway, ear canals, mastoid and petrous cells."""
    s = shape.sinus_scale
    mirrored = points.copy()
    mirrored[..., 0] = np.abs(mirrored[..., 0])
    septa = 1.5 * np.clip(texture, 0.0, None)  # bony septa: texture eats into the air
    air = np.minimum(
        ellipsoid_mm(points, (2.0, -18.0, -37.0), (12.0 * s, 9.0 * s, 9.0 * s)),
        ellipsoid_mm(mirrored, (27.0, -52.0, -70.0), (12.0 * s, 15.0 * s, 15.0 * s)),
    )
    air = np.minimum(air, ellipsoid_mm(points, (4.0, -76.0, -24.0), (16.0 * s, 5.0, 11.0 * s)))
    nose = np.maximum(ellipsoid_mm(points, (0.0, -48.0, -58.0), (13.0, 36.0, 24.0)), 1.5 - mirrored[..., 0])
    air = np.minimum(air, nose + 2.0 * septa)
    air = np.minimum(air, _capsule(points, (0.0, -4.0, -62.0), (0.0, 2.0, -240.0), 8.0))
    air = np.minimum(air, _capsule(mirrored, (50.0, 20.0, -44.0), (90.0, 22.0, -46.0), 2.8))
    mastoid = ellipsoid_mm(mirrored, (56.0, 34.0, -52.0), (10.0, 14.0, 15.0)) + 4.0 * (1.0 - shape.pneumatised)
    petrous = ellipsoid_mm(mirrored, (42.0, 22.0, -42.0), (10.0, 6.0, 5.0)) + 2.0
    air = np.minimum(air, np.minimum(mastoid, petrous) + 4.0 * np.clip(texture + 0.3, 0.0, None))
    return np.asarray(np.maximum(air, 2.0 - inner), dtype=np.float32)  # never closer than 2 mm to the brain


def _bone(
    shape: HeadShape, points: Floats, inner: Floats, air: Floats, canals: tuple[tuple[NDArray[np.float64], float], ...]
) -> Floats:
    """Vault, base with petrous ridges and clivus, walls of sinuses and orbits, jaws and spine, less the canals."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    mirrored = points.copy()
    mirrored[..., 0] = np.abs(x)
    thickness = shape.skull_mm + shape.skull_field.at(points)[..., 0].astype(np.float32)
    squama = ellipsoid_mm(mirrored, (78.0, 0.0, -12.0), (24.0, 38.0, 30.0))  # temporal bone is thin
    thickness = thickness - np.clip(-squama / 8.0, 0.0, 1.0) * (0.5 * shape.skull_mm)
    thickness = np.where((z < -22.0) & (y < -20.0), 2.0, np.clip(thickness, 2.0, 14.0)).astype(np.float32)  # orbital roofs
    central = ellipsoid_mm(points, (0.0, 8.0, -42.0), (26.0, 34.0, 20.0))  # sphenoid body and clivus
    ridge = ellipsoid_mm(mirrored, (42.0, 22.0, -45.0), (32.0, 20.0, 18.0))
    thickness = np.where(np.minimum(central, ridge) < 0, np.maximum(thickness, 12.0), thickness)
    bone = np.maximum(-inner, inner - thickness)
    bone = np.maximum(bone, -76.0 - z)  # the vault and base end above the neck
    magnum = _capsule(points, (0.0, 42.0, -40.0), (0.0, 48.0, -240.0), 14.0)
    bone = np.maximum(bone, np.where(z < -48.0, -magnum, bone))
    mastoid = ellipsoid_mm(mirrored, (56.0, 34.0, -52.0), (13.0, 17.0, 19.0))
    bone = np.minimum(bone, np.maximum(mastoid, -inner))
    bone = np.minimum(bone, np.maximum(_face_bone(shape, points, mirrored, air), 1.0 - inner))
    if shape.neck:
        bone = np.minimum(bone, _spine(points))
    soft = ellipsoid_mm(points, (0.0, -3.0, -26.0), (8.0, 8.0, 6.0))  # pituitary in its fossa
    soft = np.minimum(soft, ellipsoid_mm(mirrored, (13.0, -3.0, -27.0), (5.5, 13.0, 7.0)))  # cavernous sinus
    bone = np.maximum(bone, -soft)
    bone = np.minimum(
        bone, _capsule(mirrored, (7.0, -22.0, -23.0), (15.0, -11.0, -20.0), 1.8)
    )  # anterior clinoid beside the ICA
    for flap in shape.operated:
        bone = np.maximum(bone, -_cut(flap, points))
    bone = np.maximum(bone, 0.3 - air)
    for course, radius in canals:
        bone = np.maximum(bone, radius - _distance(points, course))
    return np.asarray(bone, dtype=np.float32)


def _cut(flap: Craniotomy, points: Floats) -> Floats:
    """Signed distance to what the saw took: a ring about the flap, or all of it."""
    sign = -1.0 if flap.side is Side.RIGHT else 1.0
    center = np.asarray(flap.center_mm, dtype=np.float32) * np.array([sign, 1.0, 1.0], dtype=np.float32)
    edge = np.linalg.norm(points - center, axis=-1) - flap.radius_mm
    return np.asarray(edge if flap.removed else np.abs(edge) - _SAW_MM / 2.0, dtype=np.float32)


def _distance(points: Floats, course: NDArray[np.float64]) -> Floats:
    """Distance to a densely sampled course, far away only a lower bound of 20 mm."""
    distance, _ = cKDTree(course).query(points.reshape(-1, 3), distance_upper_bound=20.0, workers=1)
    return np.minimum(distance, 20.0).astype(np.float32).reshape(points.shape[:-1])


def _face_bone(shape: HeadShape, points: Floats, mirrored: Floats, air: Floats) -> Floats:
    """Thin walls of orbits and sinuses, cheek arches, upper jaw with teeth, lower jaw."""
    f = shape.face_scale
    eye_socket = ellipsoid_mm(mirrored, (31.0, -50.0, -38.0), (18.0 * f, 26.0, 17.0 * f))
    face = ellipsoid_mm(points, (0.0, -36.0, -62.0), (58.0 * f, 48.0 * f, 48.0))
    socket = np.maximum(np.abs(eye_socket) - 1.0, -72.0 - mirrored[..., 1])
    walls = np.minimum(socket, np.abs(air - 1.0) - 0.8)
    bone = np.maximum(walls, face)
    bone = np.minimum(bone, _capsule(mirrored, (60.0 * f, -38.0, -56.0), (69.0, 8.0, -50.0), 3.0))
    palate = np.hypot(mirrored[..., 0] / 27.0, (mirrored[..., 1] + 40.0) / 40.0)
    arch = np.abs(palate - 1.0) * 27.0
    front = mirrored[..., 1] + 28.0
    z = mirrored[..., 2]
    jaws = np.maximum(np.maximum(arch - 5.0, front), np.minimum(np.abs(z + 96.0) - 9.0, np.abs(z + 128.0) - 11.0))
    bone = np.minimum(bone, jaws)
    ramus = _capsule(mirrored, (52.0, 2.0, -62.0), (46.0, -6.0, -118.0), 4.0)
    return np.asarray(np.minimum(bone, ramus), dtype=np.float32)


def _spine(points: Floats) -> Floats:
    """Vertebral bodies with discs, arches around the canal, and the dens."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    level = np.abs((z + 92.0) % _VERTEBRA_MM - _VERTEBRA_MM / 2.0) - 6.5
    body = np.maximum(np.hypot(x, (y - 26.0) * 1.2) - 10.0, np.maximum(level, z + 88.0))
    ring = np.maximum(np.abs(np.hypot(x, y - 46.0) - 15.0) - 2.5, np.maximum(level, z + 76.0))
    dens = _capsule(points, (0.0, 26.0, -90.0), (0.0, 27.0, -72.0), 4.0)
    return np.asarray(np.minimum(np.minimum(body, ring), dens), dtype=np.float32)


def _skin(shape: HeadShape, points: Floats, inner: Floats) -> Floats:
    """Outer surface: scalp over the vault, a block for face and jaw, a neck."""
    f = shape.face_scale
    head = inner - shape.skull_mm - shape.scalp_mm
    face = ellipsoid_mm(points, (0.0, -30.0, -76.0), (70.0 * f, 66.0 * f, 74.0))
    nose = _capsule(points, (0.0, -88.0, -48.0), (0.0, -104.0 * f, -66.0), 9.0)
    ears = points.copy()
    ears[..., 0] = np.abs(ears[..., 0])
    pinna = ellipsoid_mm(ears, (81.0, 26.0, -44.0), (6.0, 14.0, 27.0))
    skin = np.minimum(np.minimum(head, face), np.minimum(nose, pinna))
    low = -250.0 if shape.neck else -105.0
    nape = np.hypot(points[..., 0] / 62.0, (points[..., 1] - 28.0) / 66.0) * 62.0 - 62.0
    skin = np.minimum(skin, np.maximum(nape, points[..., 2] + 40.0))
    cheeks = np.maximum(ellipsoid_mm(points, (0.0, 10.0, -55.0), (80.0, 78.0, 40.0)), points[..., 2] + 20.0)
    skin = np.minimum(skin, cheeks)
    return np.asarray(np.maximum(skin, low - points[..., 2]), dtype=np.float32)


def _fat(points: Floats, skin: Floats, texture: Floats) -> Floats:
    """Fat under the skin, in the orbits around the globe, and in streaks between muscles."""
    mirrored = points.copy()
    mirrored[..., 0] = np.abs(mirrored[..., 0])
    layer = np.clip(1.6 - np.abs(skin + 3.2), 0.0, 1.0)
    socket = ellipsoid_mm(mirrored, (31.0, -50.0, -38.0), (17.0, 25.0, 16.0))
    globe = ellipsoid_mm(mirrored, (32.0, -58.0, -38.0), (12.0, 12.0, 12.0))
    orbit = ((socket < 0) & (globe > 0)).astype(np.float32)
    streaks = np.where((points[..., 2] < -40.0) & (skin < -5.0), np.clip(2.0 * texture - 0.4, 0.0, 1.0), 0.0)
    return np.asarray(np.maximum(np.maximum(layer, orbit), streaks), dtype=np.float32)
