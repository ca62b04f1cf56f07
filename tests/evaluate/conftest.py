"""A bench without a network: a judge that sees contrast above a threshold and compares left with right."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from lvo.config import Config
from lvo.core.anatomy import ARTERY_BOX_ATLAS_MM
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.report import Call, CtaResult, Finding, ModelUse, Side, Site
from lvo.core.volume import Quantity, Volume
from lvo.evaluate.bench import Setup
from lvo.evaluate.records import Found, Row, TrueStop
from lvo.synth.cases import CaseTruth, Stop
from lvo.synth.cropped import ScannedCase

SPACING_MM = 2.0
CALLED_FROM = 0.5


@dataclass(frozen=True)
class FakeModels:
    """What the bench asks of models."""

    call: dict[str, float]
    sha256: str = "ab" * 32
    spacing_mm: float = SPACING_MM

    @property
    def arteries(self):
        """The network, as far as it is asked."""
        return SimpleNamespace(manifest=SimpleNamespace(input=SimpleNamespace(spacing_mm=self.spacing_mm)))

    def used(self):
        """For the report."""
        return (ModelUse("fake", "1", self.sha256),)


def fake_models(_config=None):
    return FakeModels({"weight": 1.0})


def fake_judge(hu, pose, scanned, _models, _config):
    """Suspects the side with less contrast in front of the ears; sees nothing in a crop without contrast."""
    assert scanned is hu.grid
    dense = (hu.array > 180) & (hu.array < 700)
    vessels = {"artery": Volume(dense.astype(np.float32), hu.grid, Quantity.PROBABILITY)}
    atlas_x = pose.to_atlas_mm(hu.grid.to_lps_mm(np.argwhere(dense)))[:, 0]
    left, right = int((atlas_x > 0).sum()), int((atlas_x < 0).sum())
    if left + right < 10:
        return SimpleNamespace(outcome=NotAssessable(("no contrast",)), vessels=vessels)
    probability = min(1.0, 4.0 * abs(left - right) / (left + right))
    call = Call.SUSPECTED if probability >= CALLED_FROM else Call.NOT_DETECTED
    side = None if call is Call.NOT_DETECTED else Side.LEFT if left < right else Side.RIGHT
    place = tuple(pose.to_lps_mm((25.0 if side is Side.LEFT else -25.0, -2.0, -16.0)).tolist())
    finding = Finding(call, probability, CALLED_FROM, side, Site.M1 if side else None, place if side else None)
    return SimpleNamespace(outcome=Assessed(CtaResult(finding, (), None, 300.0, "arterial")), vessels=vessels)


@pytest.fixture
def fake_pipeline(monkeypatch):
    """The bench with the fake judge on the fake scans; returns what was scanned and judged so far."""
    done = {"scanned": 0, "judged": 0}

    def scan(case, **options):
        done["scanned"] += 1
        return fake_scan(case, **options)

    def judge(*arguments):
        done["judged"] += 1
        return fake_judge(*arguments)

    monkeypatch.setattr("lvo.pipeline.angiogram.judge_crop", judge, raising=False)
    monkeypatch.setattr("lvo.evaluate.crops.scan_case", scan)
    monkeypatch.setattr("lvo.evaluate.variants.scan_case", scan)
    return done


def a_row(case="1", *, stop=None, call=Call.SUSPECTED, probability=None, **changes):
    """A row: a left M1 occlusion that was found, unless told otherwise.

    Args:
        case: its name.
        stop: (side, site, part) of the occlusion, () for a healthy head.
        call: of the result; None for a case that could not be judged.
        probability: that was given.
        changes: fields of the row.
    """
    side, site, part = (Side.LEFT, Site.M1, "proximal") if stop is None else stop or (None, None, "")
    stops = () if side is None else (TrueStop(side=side, site=site, part=part, location_lps_mm=(20.0, 0.0, 0.0)),)
    given = {Call.SUSPECTED: 0.9, Call.INDETERMINATE: 0.3, Call.NOT_DETECTED: 0.1, None: 0.0}[call]
    found = None
    if call is not None:
        named = call is not Call.NOT_DETECTED
        found = Found(
            call=call, probability=given if probability is None else probability, side=Side.LEFT if named else None,
            site=Site.M1 if named else None, location_lps_mm=(20.0, 3.0, 4.0) if named else None,
        )  # fmt: skip
    reasons = () if found else ("no contrast",)
    return Row(**({"key": "k", "case": case, "stops": stops, "found": found, "reasons": reasons} | changes))


@pytest.fixture
def make_row():
    """Makes a row, see `a_row`."""
    return a_row


def fake_scan(case, *, spacing_mm, box_atlas_mm=ARTERY_BOX_ATLAS_MM, error=None):  # noqa: ARG001 - as `scan_case`
    """A head with nothing but a middle cerebral artery on either side; occluded ones are not there."""
    pose = HeadPose(np.eye(4), 1.0)
    grid = pose.crop(*box_atlas_mm, spacing_mm=spacing_mm)
    hu, classes = np.full(grid.shape_kji, 35, np.int16), np.zeros(grid.shape_kji, np.uint8)
    occluded = () if case.head.occlusion is None else (case.head.occlusion, *case.head.further)
    for side, sign in ((Side.LEFT, 1.0), (Side.RIGHT, -1.0)):
        if any(stop.side is side for stop in occluded):
            continue
        k, j, i = (
            np.rint(grid.to_kji(np.stack([sign * np.arange(10.0, 50.0), np.full(40, -2.0), np.full(40, -15.0)], 1)))
            .astype(int)
            .T
        )
        hu[k, j, i], classes[k, j, i] = 350, 2
    stops = tuple(Stop(one.side, one.site, one.part, (20.0, -2.0, -15.0), 5.0, tapered=False) for one in occluded)
    noise_hu, slice_mm = 10.0, max(case.scan.spacing_kji_mm[0], case.scan.thickness_mm)
    truth = CaseTruth(
        case.seed,
        case.split,
        case.family,
        case.kv,
        case.head.topology,
        stops,
        case.head.collateral_grade,
        350.0,
        noise_hu,
        slice_mm,
    )
    return ScannedCase(Volume(hu, grid, Quantity.HU), Volume(classes, grid, Quantity.LABEL), pose, pose, truth)


@pytest.fixture
def setup(fake_pipeline, tmp_path):  # noqa: ARG001 - nothing real may run
    """A bench's setup with fake models; `weight` stands for another fit of the call."""

    def made(weight=1.0, cache=None):
        return Setup(Config(), lambda _: FakeModels({"weight": weight}), cache, tmp_path / "failures")

    return made
