"""Veins, dural sinuses, external carotid branches and plaques: bright things that are not the arteries looked for."""

import numpy as np
from numpy.typing import NDArray

from lvo.core.report import Side
from lvo.synth.field import SmoothField
from lvo.synth.pial import Supply, grow
from lvo.synth.tissue import template
from lvo.synth.tree import Branch
from lvo.synth.tubes import densify

__all__ = ["build_external", "build_plaques", "build_veins"]

_Row = tuple[str, bool, float, float | None, tuple[tuple[float, float, float], ...]]

# name, paired, radius mm, distance from the inner table mm (None: free course), waypoints atlas LPS mm (patient's left)
_VEINS: tuple[_Row, ...] = (
    ("SSS", False, 3.2, -2.0, (
        (0, -68, -8), (0, -72, 20), (0, -55, 52), (0, -20, 74), (0, 20, 80), (0, 60, 66), (0, 90, 36), (0, 103, 5),
        (0, 99, -14),
    )),
    ("transverse", True, 3.2, -2.0, (
        (0, 99, -14), (20, 95, -19), (40, 84, -23), (54, 66, -27), (59, 50, -32), (57, 41, -42), (50, 37, -52),
    )),
    ("sigmoid", True, 3.3, None, ((50, 37, -52), (43, 33, -60), (36, 24, -66), (32, 18, -76), (33, 16, -95), (36, 10, -240))),
    ("straight", False, 2.0, None, ((0, 41, 8), (0, 50, 12), (0, 68, 1), (0, 86, -12), (0, 97, -14))),
    ("internal-cerebral", True, 1.0, None, ((3, -3, 11), (2, 6, 14), (2, 18, 13), (1.5, 30, 10), (0, 41, 8))),
    ("basal", True, 0.9, None, ((12, 1, -17), (16, 8, -15), (19, 20, -10), (17, 30, -4), (8, 37, 4), (0, 41, 8))),
    ("cavernous", True, 2.3, None, ((14, 9, -31), (14, 0, -30), (14, -10, -29))),
    ("sylvian", True, 1.0, -3.0, (
        (62, 18, 14), (62, 2, 4), (58, -12, -6), (50, -21, -15), (38, -22, -21), (24, -17, -25), (14, -10, -29),
    )),
    ("petrosal", True, 1.2, None, ((14, 9, -31), (25, 18, -31), (42, 30, -34), (57, 44, -38))),
)  # fmt: skip

_EXTERNAL: tuple[_Row, ...] = (
    ("STA", True, 1.0, 12.0, ((48, 16, -80), (70, 14, -55), (76, 8, -28), (75, -8, 2), (68, -32, 26), (55, -52, 42))),
    ("STA", True, 0.8, 12.0, ((76, 8, -28), (77, 14, 0), (74, 22, 30), (60, 28, 58))),
    ("MMA", True, 0.6, -0.7, ((36, 6, -50), (50, 0, -38), (66, -4, -20), (70, -6, 5), (66, -8, 35), (50, -8, 62))),
    ("occipital", True, 0.9, 13.0, ((46, 34, -80), (50, 60, -60), (40, 88, -40), (28, 100, -10), (20, 105, 15))),
    ("maxillary", True, 1.2, None, ((46, 14, -70), (40, 0, -66), (30, -14, -60), (22, -22, -56))),
    ("ECA", True, 1.9, None, ((36, 6, -240), (38, 8, -130), (42, 12, -100), (48, 16, -80))),
    ("ophthalmic", True, 0.5, None, ((12, -12, -22), (14, -20, -25), (22, -36, -32), (28, -46, -30))),
)  # fmt: skip


def build_veins(rng: np.random.Generator) -> tuple[Branch, ...]:
    """Draw sinuses, deep and cortical veins of one head, in template space."""
    branches = _courses(rng, _VEINS)
    sss = branches[0].points_mm
    upper = sss[sss[:, 2] > 15.0][::4]
    for side in (Side.LEFT, Side.RIGHT):
        left = side is Side.LEFT
        supply = Supply(
            upper + (2.0 if left else -2.0, 0.0, -1.0),
            np.zeros(len(upper), dtype=np.intp), np.arange(len(upper)), np.zeros(len(upper)),
        )  # fmt: skip
        forest = grow(rng, "cerebrum", supply, left=left, n_leaves=int(rng.integers(8, 20)), leaf_radius_mm=(0.35, 0.6))
        branches += [
            Branch("cortical", side, chain.points_mm, np.minimum(chain.radius_mm, 1.5), 0, 0, "", trunk=0)
            for chain in forest.chains
        ]
    return tuple(branches)


def build_external(rng: np.random.Generator) -> tuple[Branch, ...]:
    """Draw external carotid branches (and the ophthalmic artery) of one head, in template space."""
    return tuple(_courses(rng, _EXTERNAL))


def build_plaques(rng: np.random.Generator, carotids: tuple[Branch, ...]) -> tuple[Branch, ...]:
    """Draw calcified plaques on the wall of the carotid siphons: bright, on the lumen, and not lumen."""
    plaques = []
    for carotid in carotids:
        n_points = len(carotid.points_mm)
        for _ in range(int(rng.integers(0, 4))):
            start = n_points - 1 - int(rng.integers(4, 45))  # the last 30 mm: siphon and supraclinoid part
            chosen = np.arange(start, min(start + int(rng.integers(3, 8)), n_points - 1))
            direction = rng.standard_normal(3)
            offset = direction / np.linalg.norm(direction) * carotid.radius_mm[chosen][:, None]
            radius = np.full(len(chosen), rng.uniform(0.5, 1.1))
            plaques.append(
                Branch("plaque", carotid.side, carotid.points_mm[chosen] + offset, radius, None, 0, "", intracranial=False)
            )
    return tuple(plaques)


def _courses(rng: np.random.Generator, table: tuple[_Row, ...]) -> list[Branch]:
    """Draw the rows of a table with individual course and calibre; sides differ."""
    jitter = SmoothField.random(rng, sd_mm=2.0, wavelength_mm=(30.0, 90.0), n_waves=12)
    found = []
    for name, paired, radius, depth_mm, waypoints in table:
        for side in (Side.LEFT, Side.RIGHT) if paired else (Side.MIDLINE,):
            mirror = (-1.0 if side is Side.RIGHT else 1.0, 1.0, 1.0)
            course = jitter.moved(densify(np.array(waypoints) * mirror))
            if depth_mm is not None:
                course = _to_depth(course, depth_mm)
            factor = float(np.clip(1.0 + 0.25 * rng.standard_normal(), 0.35, 1.5))
            external = table is _EXTERNAL
            found.append(
                Branch(name, side, course, np.full(len(course), radius * factor), None, 0, "", intracranial=not external)
            )
    return found


def _to_depth(course: NDArray[np.float64], depth_mm: float) -> NDArray[np.float64]:
    """Move a course along the normal of the inner table until it lies at a distance from it (negative inside)."""
    inner = template().inner_mm
    for _ in range(6):
        normal = np.stack([inner.at(course + 2.0 * step) - inner.at(course - 2.0 * step) for step in np.eye(3)], axis=1) / 4.0
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        gap = np.clip(depth_mm - inner.at(course), -4.0, 4.0)[:, None]
        course = course + gap * normal / np.maximum(length, 0.3)
    return np.asarray(course)
