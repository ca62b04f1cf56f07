"""A head that lies awkwardly, a call with known weights, and the drawing of artery maps."""

import importlib.util
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from lvo.core.pose import HeadPose
from lvo.cta.call import CallHead, Logistic
from lvo.cta.features import HemisphereFeatures


@pytest.fixture(scope="session")
def draw():
    """`draw` of drawing.py."""
    spec = importlib.util.spec_from_file_location("drawing", Path(__file__).with_name("drawing.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.draw


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
def plain_head() -> CallHead:
    """A call with hand-set weights: the interruption decides, half a centimetre is the boundary."""
    names = tuple(field.name for field in fields(HemisphereFeatures))
    weights = tuple({"trunk_gap_cm": 8.0, "branch_gap_cm": 4.0}.get(name, 0.0) for name in names)
    hemisphere = Logistic(names, (0.0,) * len(names), (1.0,) * len(names), weights, -4.0)
    basilar = Logistic(("gap_cm", "basilar_vs_atlas"), (0.0, 0.0), (1.0, 1.0), (8.0, 0.0), -4.0)
    return CallHead("test", "nothing", hemisphere, basilar)
