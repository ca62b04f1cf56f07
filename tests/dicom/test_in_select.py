"""Roles: every series gets one, with a reason; the right CTA, CTP and plain CT are chosen among look-alikes."""

import datetime as dt

import numpy as np
import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from lvo.core.study import InstanceRef, Role, SeriesRef, Study
from lvo.dicom.facts import _is_sharp
from lvo.dicom.load import load_time_series, load_volume
from lvo.dicom.select import choose
from lvo.errors import GeometryError, InputError

CONTRAST = {"ContrastBolusAgent": "IOMERON 400"}


def _head(n, kind="plain", size=64, pixel_mm=3.0):
    """(n, size, size) HU: an oval skull with brain inside, and for an angiogram four arteries away from bone."""
    j, i = (np.indices((size, size)) - size / 2) * pixel_mm
    radius = np.hypot(j / 85, i / 68)
    plane = np.where(radius < 1, 35.0, -1000.0)
    plane[(radius > 0.9) & (radius < 1)] = 1000
    if kind == "angiogram":
        for center in ((0, 25), (0, -25), (-30, 6), (25, -4), (40, 10)):
            plane[np.hypot(j - center[0], i - center[1]) < 4] = 350
    if kind == "specks":  # as small as vessels, but in cells of air, as in the skull base, or as dense as calcium
        for center in ((-30, -30), (-30, 0), (-30, 30), (30, -30), (30, 30)):
            plane[np.hypot(j - center[0], i - center[1]) < 10] = -1000
            plane[np.hypot(j - center[0], i - center[1]) < 2.5] = 300
        for center in ((0, -30), (0, -10), (0, 12), (0, 30)):
            plane[np.hypot(j - center[0], i - center[1]) < 4] = 900
    return np.repeat(plane[None], n, axis=0)


@pytest.fixture
def add(writer, make_column):
    """Write one series: number, slice distance, length, tags; answers its SeriesRef."""

    def make(number, description="", step_mm=5.0, length_mm=150.0, tags=None, each=None, kind="plain", **where):
        n = round(length_mm / step_mm)
        values = _head(n, kind)
        positions = where.get("positions", make_column(n, step_mm))
        common = {"SeriesNumber": number, "SeriesDescription": description, "SliceThickness": step_mm, "PixelSpacing": [3, 3]}
        made = writer.series(values, positions, where.get("orientation", (1, 0, 0, 0, 1, 0)), common | dict(tags or {}), each)
        return SeriesRef(made.series_instance_uid, "CT", description, number, made.instances)

    return make


def _choose(*series):
    return choose(Study("1.2.3", tuple(series)))


def _row(selection, series):
    return next(row for row in selection.rows if row.series_instance_uid == series.series_instance_uid)


def _at(seconds):
    moment = dt.datetime(2026, 3, 1, 10, 0, 0) + dt.timedelta(seconds=seconds)  # noqa: DTZ001
    return {"AcquisitionDateTime": moment.strftime("%Y%m%d%H%M%S.%f")}


def test_a_stroke_study_with_look_alikes(add, writer, make_column):
    """Localizer, plain CT, thin, thick, sharp and late CTA, MIP, coronal reformat, perfusion, dose page."""
    localizer = add(1, length_mm=5, tags={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, orientation=(0, 1, 0, 0, 0, -1))
    plain = add(2, "Head 5.0 H31s", tags=_at(0))
    thick = add(3, "CTA 3.0 B20f", 3.0, tags=CONTRAST | _at(300))
    bone = add(4, "CTA 0.75 H60s", 0.75, tags=CONTRAST | _at(300) | {"ConvolutionKernel": "H60s"})
    thin = add(5, "CTA 0.75 B20f", 0.75, tags=CONTRAST | _at(300) | {"ConvolutionKernel": "B20f"})
    late = add(6, "CTA venous 0.75", 0.75, tags=CONTRAST | _at(290))
    mip = add(7, "MIP ax 10/2", 2.0, tags=CONTRAST)
    reformat = add(8, "cor", 2.0, tags=CONTRAST, orientation=(1, 0, 0, 0, 0, -1), positions=make_column(75)[:, [0, 2, 1]])
    series = writer.series(
        np.tile(_head(4, size=16), (12, 1, 1)), np.tile(make_column(4, 10.0), (12, 1)), each=lambda n: _at(400 + n // 4 * 1.5)
    )
    ctp = SeriesRef(series.series_instance_uid, "CT", "VPCT", 9, series.instances)
    page = writer.series(np.zeros((1, 8, 8)), make_column(1), tags={"SOPClassUID": SecondaryCaptureImageStorage})

    found = _choose(localizer, plain, thick, bone, thin, late, mip, reformat, ctp, page)
    assert found.cta is thin
    assert found.ctp == (ctp,)
    assert found.ncct is plain
    assert (found.missing_cta, found.missing_ctp) == ("", "")
    roles = {row.series_instance_uid: (row.role, row.used) for row in found.rows}
    expected = [
        (localizer, Role.LOCALIZER, False), (plain, Role.NCCT, True), (thick, Role.CTA, False), (bone, Role.CTA, False),
        (thin, Role.CTA, True), (late, Role.CTA, False), (mip, Role.DERIVED, False), (reformat, Role.DERIVED, False),
        (ctp, Role.CTP, True), (page, Role.DERIVED, False),
    ]  # fmt: skip
    assert roles == {series.series_instance_uid: (role, used) for series, role, used in expected}
    assert all(row.reason for row in found.rows)
    assert "series 5 is preferred" in _row(found, thick).reason
    assert "sharp kernel" in _row(found, bone).reason
    assert "late phase" in _row(found, late).reason
    assert _row(found, thin).geometry == "64x64x200, 3.00x3.00x0.75 mm"
    assert _row(found, ctp).geometry.startswith("16x16x4, 12 images per position")


def test_the_choice_does_not_depend_on_the_order_of_series(add):
    """Deterministic, also when everything but the time is the same: the earlier, arterial phase wins."""
    series = [add(n, "head and neck", 1.0, tags=CONTRAST | _at(60 - n)) for n in (3, 4, 5)]
    chosen = {_choose(*order).cta.number for order in (series, series[::-1], [series[1], series[2], series[0]])}
    assert chosen == {5}


@pytest.mark.parametrize(
    ("tags", "kind", "role", "why"),
    [
        pytest.param(CONTRAST, "plain", Role.CTA, "contrast agent recorded", id="recorded: headers decide"),
        pytest.param({"ContrastBolusAgent": "NONE"}, "plain", Role.NCCT, "no contrast agent recorded", id="agent NONE"),
        pytest.param({"SeriesDescription": "CTA COW"}, "plain", Role.CTA, "description says angiogram", id="only described"),
        pytest.param({"SeriesDescription": "HEAD W/O"}, "angiogram", Role.NCCT, "description says plain", id="described plain"),
        pytest.param({}, "angiogram", Role.CTA, "vessels are bright in 100%", id="headers silent, arteries bright"),
        pytest.param({}, "plain", Role.NCCT, "vessels are bright in 0%", id="headers silent, no arteries"),
        pytest.param({}, "specks", Role.NCCT, "vessels are bright in 0%", id="headers silent, calcium and bone"),
        pytest.param(
            CONTRAST | {"SeriesDescription": "NON-CON"},
            "plain",
            Role.NCCT,
            "but described as plain",
            id="contradiction: pixels",
        ),
        pytest.param(CONTRAST | {"SeriesDescription": "NC"}, "angiogram", Role.CTA, "vessels are bright", id="the other way"),
    ],
)
def test_angiogram_or_plain(add, tags, kind, role, why):
    """Recorded contrast, then the description; pixels only where they are silent or disagree."""
    series = add(2, "", 1.5, tags=tags, kind=kind)
    row = _choose(series).rows[0]
    assert (row.role, row.used) == (role, True)
    assert why in row.reason


@pytest.mark.parametrize(
    ("make", "role", "why"),
    [
        pytest.param({"length_mm": 40.0, "step_mm": 2.0}, Role.OTHER, "covers 40 mm, at least 60", id="too short"),
        pytest.param({"length_mm": 15.0}, Role.OTHER, "3 slice positions", id="few slices"),
        pytest.param({"tags": {"BodyPartExamined": "CHEST"}}, Role.OTHER, "shows the chest", id="chest"),
        pytest.param({"tags": {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}}, Role.DERIVED, "DERIVED", id="derived"),
        pytest.param({"tags": {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 MPR"]}}, Role.DERIVED, "MPR", id="MPR"),
        pytest.param({"tags": {"RescaleType": "Z_EFF"}}, Role.DERIVED, "Z_EFF, not HU", id="not HU"),
        pytest.param({"tags": {"ImagePositionPatient": None}}, Role.OTHER, "no Image Position", id="no position"),
        pytest.param({"tags": {"SamplesPerPixel": 3}}, Role.DERIVED, "screen captures", id="colour"),
    ],
)
def test_what_cannot_be_analysed_says_why(add, make, role, why):
    """Never chosen, always explained."""
    found = _choose(add(2, **({"description": "x"} | make)))
    assert (found.rows[0].role, found.rows[0].used) == (role, False)
    assert why in found.rows[0].reason
    assert found.cta is found.ncct is None


def test_derived_by_compression_alone_is_still_an_original(add):
    """DERIVED, PRIMARY is what a lossy or de-identified copy of an original says."""
    assert _choose(add(2, "CTA", 1.0, tags={"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]})).cta is not None


@pytest.mark.parametrize(
    ("n_positions", "n_times", "role", "why"),
    [
        pytest.param(2, 20, Role.CTP, "2 positions scanned 20 times", id="an old two-slice perfusion"),
        pytest.param(1, 20, Role.OTHER, "monitoring of the contrast bolus", id="bolus tracking"),
        pytest.param(20, 3, Role.CTA, "3 images per position", id="three phases in one series: loading refuses it"),
        pytest.param(6, 3, Role.OTHER, "covers 30 mm", id="three times a few slices"),
    ],
)
def test_images_over_time(writer, make_column, n_positions, n_times, role, why):
    """How often a position repeats decides."""
    series = writer.series(
        np.zeros((n_positions * n_times, 8, 8)), np.tile(make_column(n_positions, 5.0), (n_times, 1)),
        tags=CONTRAST, each=lambda n: _at(n // n_positions * 2),
    )  # fmt: skip
    row = _choose(series).rows[0]
    assert row.role is role
    assert why in row.reason


def test_one_series_per_time_point_is_one_perfusion(add):
    """Ten series of one geometry within a minute; the angiogram of the same geometry but another kernel is not among them."""
    points = [add(10 + n, "dyn", 5.0, 80.0, tags=CONTRAST | _at(2 * n)) for n in range(10)]
    cta = add(40, "CTA", 0.8, tags=CONTRAST | _at(100))
    found = _choose(*points, cta)
    assert set(found.ctp) == set(points)
    assert found.cta is cta
    assert all("10 time points" in row.reason for row in found.rows if row.role is Role.CTP)


def test_few_or_distant_series_of_one_geometry_are_no_perfusion(add):
    """Follow-up scans on the same grid are not time points."""
    hours = [add(10 + n, "head", 5.0, tags=_at(3600 * n)) for n in range(9)]
    assert _choose(*hours).ctp == ()
    assert _choose(*[add(30 + n, "ph", 5.0, tags=CONTRAST | _at(8 * n)) for n in range(3)]).ctp == ()


def test_reconstructions_of_many_energies_are_no_perfusion(add):
    """Ten series of one geometry that start together are one scan."""
    energies = [add(10 + n, f"CTA {40 + 10 * n} keV", 1.0, 80.0, tags=CONTRAST | _at(0)) for n in range(10)]
    found = _choose(*energies)
    assert (found.cta, found.ctp) == (energies[0], ())
    assert "its number, both show the same positions" in found.rows[5].reason
    timeless = [add(30 + n, "CTA", 1.0, 80.0, tags=CONTRAST) for n in range(10)]
    assert _choose(*timeless).cta is timeless[0]


def test_ranks_follow_the_points(add):
    """The first is used; every property is told."""
    series = [add(4, "CTA", 3.0, tags=CONTRAST), add(5, "CTA", 1.0, tags=CONTRAST), add(6, "head", 5.0)]
    found = _choose(*series)
    assert [(rank.place, rank.of) for rank in found.ranks] == [(2, 2), (1, 2), (1, 1)]
    assert found.ranks[1].points["slices"] == 3.0
    assert found.ranks[1].total > found.ranks[0].total


def test_a_complete_series_is_preferred_to_a_thinner_one_with_a_hole(add):
    """The broken one keeps its role and says what is missing; alone, it is chosen, so that loading can refuse with numbers."""
    broken, whole = add(2, "CTA", 0.5, 100.0, tags=CONTRAST), add(3, "CTA", 1.5, 100.0, tags=CONTRAST)
    broken = SeriesRef(broken.series_instance_uid, "CT", "CTA", 2, _without_middle(broken))
    found = _choose(broken, whole)
    assert found.cta is whole
    assert "a slice is missing" in _row(found, broken).reason
    assert _choose(broken).cta is broken


def _one(n, tags):
    """Tags for one image in the middle."""
    return lambda k: tags if k == n else {}


_SCREEN = {
    "SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT", "ImagePositionPatient": None, "PixelSpacing": None,
    "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"], "SeriesDescription": "Screen Save", "SamplesPerPixel": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        pytest.param({"ImagePositionPatient": None}, "1 of 75 images have no Image Position", id="one without position"),
        pytest.param(_SCREEN, "1 of 75 images have no Image Position", id="one screen capture"),
        pytest.param({"Rows": 32}, "differ in size", id="one of another size"),
        pytest.param({"PixelSpacing": [2, 2]}, "differ in pixel spacing", id="one magnified"),
        pytest.param({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "differ in orientation", id="one of another plane"),
        pytest.param({"ImagePositionPatient": [-3, 17, 677]}, "displaced by", id="one displaced"),
        pytest.param({"FrameOfReferenceUID": "1.2.9"}, "2 frames of reference", id="one of another scan"),
    ],
)
def test_a_broken_angiogram_stays_one_and_is_refused_aloud(add, odd, says):
    """Called absent, a study with a good perfusion scan would be reported as complete. A sound angiogram is preferred."""
    broken = add(2, "CTA", 1.0, 75.0, tags=CONTRAST, each=_one(37, odd))
    found = _choose(broken)
    assert (found.cta, found.missing_cta) == (broken, "")
    assert says in found.rows[0].reason
    with pytest.raises(GeometryError, match=says):
        load_volume(found.cta)
    thicker = add(3, "CTA", 2.0, tags=CONTRAST)
    found = _choose(broken, thicker)
    assert found.cta is thicker
    assert says in _row(found, broken).reason
    assert "series 3 is preferred" in _row(found, broken).reason


def test_an_angiogram_without_any_position_is_refused_aloud_beside_a_good_perfusion(add, writer, make_column):
    """Nothing but its headers says what it is; a protocol name shared with the perfusion scan does not hide it."""
    protocol = {"ProtocolName": "Stroke CTA + CTP"}
    cta = add(2, "CTA", 2.0, tags=CONTRAST | protocol | {"ImagePositionPatient": None})
    made = writer.series(
        np.zeros((48, 8, 8)), np.tile(make_column(4, 10.0), (12, 1)), tags=protocol, each=lambda n: _at(n // 4 * 1.5)
    )
    ctp = SeriesRef(made.series_instance_uid, "CT", "VPCT", 9, made.instances)
    found = _choose(cta, ctp)
    assert (found.cta, found.ctp) == (cta, (ctp,))
    with pytest.raises(GeometryError, match="75 of 75 images have no Image Position"):
        load_volume(found.cta)


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        pytest.param({n: {"ImagePositionPatient": None} for n in range(1)}, "1 of 48 images", id="one without position"),
        pytest.param({n: {"ImagePositionPatient": None} for n in range(48)}, "48 of 48 images", id="none with position"),
        pytest.param({5: {"ImagePositionPatient": [-20, 17, 650]}}, "displaced by", id="one displaced"),
    ],
)
def test_a_broken_perfusion_stays_one_and_is_refused_aloud(writer, make_column, odd, says):
    """As for the angiogram."""
    made = writer.series(
        np.zeros((48, 8, 8)), np.tile(make_column(4, 10.0), (12, 1)),
        tags=CONTRAST | {"SeriesDescription": "CTP"}, each=lambda n: _at(n // 4 * 1.5) | odd.get(n, {}),
    )  # fmt: skip
    found = _choose(SeriesRef(made.series_instance_uid, "CT", "CTP", 9, made.instances))
    assert (found.cta, len(found.ctp), found.rows[0].role) == (None, 1, Role.CTP)
    with pytest.raises(GeometryError, match=says):
        load_time_series(found.ctp)


def test_a_thin_series_that_cannot_be_decoded_may_be_the_angiogram(add):
    """Where headers are silent and pixels are cut short; a thick one is a plain CT."""
    thin, thick = add(2, "", 1.5, 75.0), add(3, "", 5.0)
    for series in (thin, thick):
        for instance in series.instances:
            instance.path.write_bytes(instance.path.read_bytes()[:-1000])
    found = _choose(thin, thick)
    assert (found.cta, found.ncct) == (thin, thick)
    assert "cannot be decoded" in _row(found, thin).reason
    with pytest.raises(InputError):
        load_volume(found.cta)


@pytest.mark.parametrize(
    ("description", "role"),
    [
        ("CTA HEAD LOW DOSE 0.6", Role.CTA), ("CTA no MIP", Role.CTA), ("CTA 0.6 for MIP", Role.CTA), ("CTA SUMMIT", Role.CTA),
        ("CTA SUMMARY", Role.CTA), ("CTA thin for sag/cor", Role.CTA), ("CTA Dose reduced", Role.CTA),
        ("Dose Report", Role.DERIVED), ("Perfusion summary", Role.DERIVED), ("CTA MIP", Role.DERIVED),
        ("CTA MIPs 10/3", Role.DERIVED), ("CTA subtracted", Role.DERIVED), ("Tmax", Role.DERIVED),
    ],
)  # fmt: skip
def test_ordinary_words_of_protocols_do_not_drop_a_series(add, description, role):
    """Only words that name maps, projections and pages do."""
    assert _choose(add(2, description, 1.5, 75.0, tags=CONTRAST)).rows[0].role is role


@pytest.mark.parametrize(
    ("tags", "role"),
    [
        ({"BodyPartExamined": "CHEST", "ProtocolName": "STROKE HEAD"}, Role.CTA),
        ({"SeriesDescription": "CHEST/COW"}, Role.CTA),
        ({"BodyPartExamined": "CHEST", "ProtocolName": "TRAUMA"}, Role.OTHER),
        ({"SeriesDescription": "CHEST 1.5", "ProtocolName": "HEAD TRAUMA"}, Role.OTHER),
    ],
)  # fmt: skip
def test_a_body_part_counts_unless_other_words_name_the_head(add, tags, role):
    """Body Part Examined is often a default of the scanner; the description knows best."""
    assert _choose(add(2, "", 1.5, 75.0, tags=CONTRAST | tags)).rows[0].role is role


def test_a_missing_part_says_what_there_is_instead(add):
    """In the words a clinician uses."""
    found = _choose(add(1, "head"), add(2, "head", 4.0), add(3, "coronal MIP"))
    assert found.missing_cta == "no CT angiogram in the study: 2 plain CT, 1 derived"
    assert found.missing_ctp == "no CT perfusion in the study: 2 plain CT, 1 derived"
    empty = _choose()
    assert empty.missing_cta == "no CT angiogram in the study: no series"


def test_another_modality_is_other(writer, make_column):
    """An MR series in the study is named, not judged."""
    made = writer.series(
        np.zeros((3, 8, 8)), make_column(3), tags={"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}
    )
    row = _choose(SeriesRef(made.series_instance_uid, "MR", "", 1, made.instances)).rows[0]
    assert (row.role, row.reason) == (Role.OTHER, "MR, not CT images")


@pytest.mark.parametrize(
    ("kernel", "sharp"),
    [
        ("B20f", False), ("H60s", True), ("Hr40f\\3", False), ("Br64d", True), ("STANDARD", False), ("BONEPLUS", True),
        ("FC23", False), ("FC30", True), ("FC81", True), ("UB", False), ("YC", True), ("", False), ("SYNTH-SMOOTH", False),
    ],
)  # fmt: skip
def test_kernels_for_bone_are_known_by_their_names(kernel, sharp):
    """Siemens, GE, Canon and Philips."""
    assert _is_sharp(kernel) is sharp


def _without_middle(series: SeriesRef) -> tuple[InstanceRef, ...]:
    """All images but the one in the middle."""
    import pydicom

    ordered = sorted(series.instances, key=lambda one: float(pydicom.dcmread(one.path).ImagePositionPatient[2]))
    del ordered[len(ordered) // 2]
    return tuple(ordered)
