"""A head that lies awkwardly, a call with known weights, and the drawing of vessel maps."""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from lvo.core.pose import HeadPose
from lvo.cta.call import CallHead, Logistic
from lvo.cta.measure import ArteryMeasures, measure


@pytest.fixture(scope="session")
def drawing():
    """The module drawing.py."""
    spec = importlib.util.spec_from_file_location("drawing", Path(__file__).with_name("drawing.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def draw(drawing):
    """`draw` of drawing.py."""
    return drawing.draw


@pytest.fixture(scope="session")
def tilted_pose() -> HeadPose:
    """A head turned 17 degrees, nodded 9, off centre, 6 % larger than the atlas."""
    turn, nod = np.radians(17), np.radians(9)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(nod), -np.sin(nod)], [0, np.sin(nod), np.cos(nod)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation / 1.06
    affine[:3, 3] = (14, -22, 71)
    return HeadPose(affine, 0.95)


@pytest.fixture(scope="session")
def measured(drawing, tilted_pose):
    """Measures of a drawn map: `measured({("M1", True): (0.3, 1.1)}, {...clots}, seed)`; every map is drawn once."""

    @cache
    def of(closed: tuple, clots: tuple, seed: int | None) -> ArteryMeasures:
        vessels = drawing.draw(tilted_pose, closed=dict(closed), clots=dict(clots), seed=seed)
        found = measure(drawing.angiogram(vessels), vessels, tilted_pose, vessels["artery"].grid)
        assert isinstance(found, ArteryMeasures)
        return found

    return lambda closed=None, clots=None, seed=None: of(tuple((closed or {}).items()), tuple((clots or {}).items()), seed)


@pytest.fixture(scope="session")
def plain_head() -> CallHead:
    """A call with hand-set weights: the interruption decides, half a centimetre is the boundary."""

    def on(**weight: float) -> Logistic:
        return Logistic(tuple(weight), (0.0,) * len(weight), (1.0,) * len(weight), tuple(weight.values()), -4.0)

    return CallHead(
        "test", "nothing", siphon=on(siphon_gap_cm=8.0), stem=on(trunk_gap_cm=8.0),
        m2=on(branch_cut_off=8.0, trunk_gap_cm=-8.0), basilar=on(gap_cm=8.0), slope=1.0, intercept=0.0,
    )  # fmt: skip
