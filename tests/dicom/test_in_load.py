"""Loading a series as a volume: the right place, the right values, or a refusal with numbers."""

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEGLSLossless, RLELossless

from lvo.dicom.load import load_volume
from lvo.errors import GeometryError, InputError

SHAPE = (6, 5, 7)
OBLIQUE = np.linalg.qr(np.array([[0.95, 0.25, -0.1], [-0.2, 0.9, 0.4], [0.1, -0.4, 1.1]]).T)[0].T
OBLIQUE = OBLIQUE * np.sign(np.diag(OBLIQUE))[:, None]
OBLIQUE[2] = np.cross(OBLIQUE[0], OBLIQUE[1])


def test_every_voxel_of_an_oblique_stack_lies_where_the_headers_say(writer, make_pattern):
    """Position is IPP + j x PixelSpacing[0] x column direction + i x PixelSpacing[1] x row direction (PS3.3 C.7.6.2.1.1)."""
    values = make_pattern(SHAPE)
    row, column, normal = OBLIQUE
    first = np.array([-31.0, 17.5, 640.25])
    loaded = load_volume(writer.series(values, first + 2.5 * np.arange(6)[:, None] * normal, (*row, *column)))
    k, j, i = np.indices(SHAPE)
    expected = first + k[..., None] * 2.5 * normal + j[..., None] * 0.7 * column + i[..., None] * 0.4 * row
    np.testing.assert_allclose(loaded.volume.grid.to_lps_mm(np.stack([k, j, i], -1)), expected, atol=1e-6)
    np.testing.assert_array_equal(loaded.volume.array, values)
    assert loaded.volume.grid.spacing_kji_mm == pytest.approx((2.5, 0.7, 0.4))
    assert loaded.notes == ()


def test_a_second_library_reads_the_same_oblique_volume(writer, make_pattern):
    """SimpleITK's series reader agrees on values, origin, spacing and directions."""
    import SimpleITK as sitk  # noqa: N813 - its own short name

    row, column, normal = OBLIQUE
    series = writer.series(make_pattern(SHAPE), np.arange(6)[:, None] * 2.5 * normal, (*row, *column))
    loaded = load_volume(series)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(writer.folder))
    image = sitk.ReadImage(names, sitk.sitkFloat32)
    grid = loaded.volume.grid
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), loaded.volume.array)
    for index in ((0, 0, 0), (5, 0, 0), (0, 4, 0), (2, 3, 6)):
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index[::-1]), grid.to_lps_mm(index), atol=1e-4)


@pytest.mark.parametrize(
    "orientation",
    [
        pytest.param((1, 0, 0, 0, 1, 0), id="supine, head first"),
        pytest.param((-1, 0, 0, 0, 1, 0), id="mirrored rows: the normal points to the feet"),
        pytest.param((1, 0, 0, 0, -1, 0), id="flipped columns: the normal points to the feet"),
        pytest.param((-1, 0, 0, 0, -1, 0), id="prone"),
    ],
)
def test_slices_grow_to_the_head_and_keep_their_place(writer, make_pattern, make_column, orientation):
    """However rows and columns run, k grows to the head and values stay at their positions."""
    values, positions = make_pattern(SHAPE), make_column(6)
    grid = load_volume(writer.series(values[::-1], positions[::-1], orientation)).volume
    assert grid.grid.to_lps_mm([5, 0, 0])[2] - grid.grid.to_lps_mm([0, 0, 0])[2] == pytest.approx(12.5)
    np.testing.assert_array_equal(grid.array, values)
    np.testing.assert_allclose(
        grid.grid.to_lps_mm([2, 3, 4]), positions[2] + 3 * 0.7 * np.array(orientation[3:]) + 4 * 0.4 * np.array(orientation[:3])
    )


def test_source_images_are_named_in_the_order_of_slices(writer, make_pattern, make_column):
    """sop_instance_uids[k] is the image that lies at slice k."""
    loaded = load_volume(writer.series(make_pattern(SHAPE), make_column(6)))
    where = {dataset.SOPInstanceUID: float(dataset.ImagePositionPatient[2]) for dataset in map(pydicom.dcmread, _files(writer))}
    assert [where[uid] for uid in loaded.sop_instance_uids] == [640.0, 642.5, 645.0, 647.5, 650.0, 652.5]


@pytest.mark.parametrize(("tags", "expected"), [({"SliceThickness": 2.0}, 3.0), ({"SliceThickness": None}, None)])
def test_the_largest_slice_thickness_is_kept(writer, make_pattern, make_column, tags, expected):
    """Overlapping slices are thicker than they are apart, and blur small vessels as much."""
    each = (lambda k: {"SliceThickness": 3.0} if k == 1 else {}) if expected else None
    series = writer.series(make_pattern((4, 3, 2)), make_column(4, 0.8), tags=tags, each=each)
    assert load_volume(series).slice_thickness_mm == expected


def test_every_slice_has_its_own_rescale(writer, make_column):
    """Slope and intercept differ from slice to slice, and one slice is signed: nothing overflows."""
    stored = np.full((4, 3, 3), 1000)
    slopes, intercepts = (1, 0.5, 2.25, 20), (-1024, 0, -1000, 100)
    loaded = load_volume(
        writer.series(
            stored - 1024, make_column(4), each=lambda n: {"RescaleSlope": slopes[n], "RescaleIntercept": intercepts[n]}
        )
    )
    np.testing.assert_allclose(loaded.volume.array[:, 0, 0], [-24.0, 500.0, 1250.0, 20100.0])
    assert loaded.volume.array.dtype == np.float32


@pytest.mark.parametrize(
    ("stored", "tags", "expected"),
    [
        pytest.param(
            -2000, {"PixelPaddingValue": -2000, "PixelRepresentation": 1, "RescaleIntercept": 0}, -1024, id="GE padding"
        ),
        pytest.param(-3024, {"PixelRepresentation": 1, "RescaleIntercept": 0}, -1024, id="undeclared, below the scale"),
        pytest.param(40000, {"PixelPaddingValue": 40000}, -1024, id="padding above the scale"),
        pytest.param(
            45, {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 50, "RescaleIntercept": -1100}, -1024, id="padding range"
        ),
    ],
)
def test_padding_becomes_air(writer, make_column, stored, tags, expected):
    """What was not scanned is -1024 HU, and its neighbours are untouched."""
    values = np.full((3, 3, 4), 1000, np.int32)
    values[1, 2, 3] = stored
    loaded = load_volume(writer.series(values - 1024, make_column(3), tags=tags))
    assert loaded.volume.array[1, 2, 3] == expected
    assert loaded.volume.array[1, 2, 2] == 1000 + tags.get("RescaleIntercept", -1024)


def test_padding_that_tissue_can_have_is_not_believed(writer, make_column):
    """A padding value that stands for water must not turn the brain into air."""
    loaded = load_volume(writer.series(np.zeros((3, 3, 4)), make_column(3), tags={"PixelPaddingValue": 1024}))
    assert loaded.volume.array.max() == 0
    assert [note.code for note in loaded.notes] == ["pixels.padding_in_tissue"]


def test_a_multiframe_object_loads_like_single_slices(writer, make_pattern, make_column):
    """Enhanced CT: position per frame, the rest shared, frames shuffled."""
    values, positions = make_pattern(SHAPE), make_column(6)
    loaded = load_volume(writer.enhanced(values, positions))
    np.testing.assert_array_equal(loaded.volume.array, values)
    np.testing.assert_allclose(loaded.volume.grid.to_lps_mm([2, 3, 4]), positions[2] + (1.6, 2.1, 0.0))


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless], ids=lambda uid: uid.name)
def test_compressed_pixels_are_decoded(writer, make_pattern, make_column, syntax):
    """Lossless compression changes nothing."""
    values = make_pattern((3, 16, 12))
    series = writer.series(values, make_column(3))
    for path in _files(writer):
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
    np.testing.assert_array_equal(load_volume(series).volume.array, values)


# What is refused, and with which words


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        pytest.param([0, 1, 2, 4, 5], r"gap after slice 3 of 5 is 5\.000 mm, expected 2\.500 mm \(1 of 4", id="missing inside"),
        pytest.param([0, 1, 2, 3, 5], r"gap after slice 4 of 5 is 5\.000 mm", id="missing before the last"),
        pytest.param([0, 2, 3, 4, 5], r"gap after slice 1 of 5 is 5\.000 mm", id="missing after the first"),
        pytest.param([0], r"1 image position, a volume needs at least 2", id="one image"),
    ],
)
@pytest.mark.parametrize("uneven", [False, True], ids=["strict", "uneven allowed"])
def test_a_missing_slice_is_refused(writer, make_pattern, make_column, keep, says, uneven):
    """Whatever is allowed, a hole in the series is refused with its place and size."""
    series = writer.series(make_pattern(SHAPE)[keep], make_column(6)[keep])
    with pytest.raises(GeometryError, match=says):
        load_volume(series, allow_uneven=uneven)


def test_a_repeated_position_is_refused(writer, make_pattern, make_column):
    """Two reconstructions in one series are not a volume."""
    with pytest.raises(GeometryError, match="2 of 8 images repeat the position of another"):
        load_volume(writer.series(make_pattern((8, 5, 7)), make_column(6)[[0, 1, 2, 2, 3, 4, 4, 5]]))


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        pytest.param({"ImageOrientationPatient": [1, 0, 0, 0, 0.995, 0.0998749]}, "differ in orientation", id="orientation"),
        pytest.param({"PixelSpacing": [0.7, 0.41]}, r"differ in pixel spacing \(0\.4000 to 0\.7000", id="spacing"),
        pytest.param({"Rows": 7, "Columns": 5}, r"differ in size \(5 x 7, 7 x 5\)", id="size"),
        pytest.param({"ImagePositionPatient": None}, r"1 of 6 images have no Image Position \(Patient\)", id="no position"),
        pytest.param({"ImageOrientationPatient": [1, 0, 0, 0, 2, 0]}, "perpendicular unit vectors", id="not unit vectors"),
        pytest.param({"PixelSpacing": [0, 0]}, "Pixel Spacing is 0 mm", id="no extent"),
        pytest.param({"ImagePositionPatient": [-29.0, 17, 647.5]}, r"displaced by 1\.\d\d mm within its plane", id="displaced"),
        pytest.param({"FrameOfReferenceUID": "1.2.3"}, "2 frames of reference", id="frame of reference"),
        pytest.param({"RescaleSlope": None}, "no Rescale Slope", id="no rescale"),
        pytest.param({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "3 samples of 16 bits, RGB", id="colour"),
        pytest.param({"PixelData": b"\0" * 60}, "cut short: 60 bytes of pixels found, 70 needed", id="short pixels"),
        pytest.param({"PixelData": None}, "cut short: 0 bytes", id="no pixels"),
    ],
)
def test_one_odd_image_is_refused(writer, make_pattern, make_column, tags, says):
    """One image that does not belong is enough."""
    series = writer.series(make_pattern(SHAPE), make_column(6), each=lambda n: tags if n == 3 else {})
    with pytest.raises(InputError, match=says):
        load_volume(series)


@pytest.mark.parametrize(("bytes_kept", "says"), [(-11, "cut short: 5[0-9] bytes"), (300, "no S|damaged|no image|differ|cut")])
def test_a_truncated_file_is_refused(writer, make_pattern, make_column, bytes_kept, says):
    """A file cut in its pixels, or in its header."""
    series = writer.series(make_pattern(SHAPE), make_column(6))
    path = series.instances[2].path
    path.write_bytes(path.read_bytes()[:bytes_kept])
    with pytest.raises(InputError, match=says):
        load_volume(series)


def test_an_undecodable_transfer_syntax_is_named(writer, make_pattern, make_column):
    """The message says how the pixels are stored and how to send them."""
    series = writer.series(make_pattern(SHAPE), make_column(6))
    path = series.instances[2].path
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))
    with pytest.raises(InputError, match=r"stored as .*1\.2\.840\.10008\.1\.2\.9, which cannot be decoded"):
        load_volume(series)


def test_messages_carry_no_identity(writer, make_pattern, make_column):
    """Neither name nor number of the patient, nor a file name."""
    series = writer.series(make_pattern(SHAPE)[:5], make_column(6)[[0, 1, 2, 4, 5]])
    with pytest.raises(GeometryError) as caught:
        load_volume(series)
    assert "Secret" not in str(caught.value)
    assert "4711" not in str(caught.value)
    assert not any(path.name in str(caught.value) for path in _files(writer))


# Two slice distances


def _two_distances(writer, steps, thickness=None, shape=(4, 5)):
    """A ramp along z scanned at uneven distances."""
    depth = np.concatenate([[0.0], np.cumsum(steps)])
    values = np.broadcast_to((10 * depth)[:, None, None], (len(depth), *shape)).round()
    positions = np.array([-31.0, 17.0, 640.0]) + depth[:, None] * (0, 0, 1)
    thickness = thickness or [steps[0], *steps]
    return writer.series(values, positions, each=lambda n: {"SliceThickness": thickness[n]})


def test_a_plain_ct_with_two_distances_is_resampled_and_said_so(writer):
    """Thin base, thick vertex: linear between slices, both ends kept, the smaller distance."""
    loaded = load_volume(_two_distances(writer, [4.0] * 5 + [1.0] + [7.0] * 5, [4.0] * 6 + [7.0] * 6), allow_uneven=True)
    grid = loaded.volume.grid
    assert grid.to_lps_mm([0, 0, 0])[2] == 640.0
    assert grid.to_lps_mm([grid.shape_kji[0] - 1, 0, 0])[2] == pytest.approx(696.0)
    assert grid.spacing_kji_mm[0] == pytest.approx(4.0)
    np.testing.assert_allclose(loaded.volume.array[:, 1, 2], 10 * (grid.to_lps_mm(_line(grid))[:, 2] - 640.0), atol=1e-3)
    where = {dataset.SOPInstanceUID: float(dataset.ImagePositionPatient[2]) for dataset in map(pydicom.dcmread, _files(writer))}
    scanned = np.array(sorted(where.values()))
    away = np.abs(np.array([where[uid] for uid in loaded.sop_instance_uids]) - grid.to_lps_mm(_line(grid))[:, 2])
    nearest = np.abs(scanned - grid.to_lps_mm(_line(grid))[:, 2:]).min(axis=1)
    np.testing.assert_allclose(away, nearest, atol=1e-6)  # each slice names the image it lies nearest to
    (note,) = loaded.notes
    assert note.code == "geometry.resampled"
    assert "5 x 4.00 mm, 1 x 1.00 mm, 5 x 7.00 mm" in note.text


def test_two_distances_are_refused_where_one_is_needed(writer):
    """A CTA or CTP may not have them."""
    with pytest.raises(GeometryError, match=r"slices are 5 x 4\.00 mm, 5 x 7\.00 mm apart, one distance is needed"):
        load_volume(_two_distances(writer, [4.0] * 5 + [7.0] * 5))


@pytest.mark.parametrize(
    ("steps", "thickness"),
    [
        pytest.param([4.0] * 5 + [8.0] + [7.0] * 5, None, id="hole between the two parts"),
        pytest.param([4.0] * 5 + [7.0] * 2 + [14.0] + [7.0] * 3, None, id="hole in the thick part"),
        pytest.param([4.0] * 3 + [8.0] + [4.0] * 3 + [7.0] * 3, None, id="hole in the thin part"),
        pytest.param([2.5] * 4 + [5.0] * 4, [2.5] * 9, id="every second slice missing"),
        pytest.param([4.0, 7.0, 4.0, 7.0, 4.0, 7.0], None, id="alternating"),
        pytest.param([2.0] * 3 + [4.0] * 3 + [7.0] * 3, None, id="three distances"),
    ],
)
def test_two_distances_do_not_excuse_a_missing_slice(writer, steps, thickness):
    """Only a scan planned with two distances is complete."""
    with pytest.raises(GeometryError, match="missing"):
        load_volume(_two_distances(writer, steps, thickness), allow_uneven=True)


# Gantry tilt


def _field(points):
    """HU as a smooth function of the position in the patient."""
    x, y, z = np.moveaxis(points - np.array([-20.0, 30.0, 650.0]), -1, 0)
    return 900 + 8 * x - 5 * y + 12 * z


@pytest.mark.parametrize("tilt_deg", [18.5, -16.5, 3.0])
def test_a_tilted_stack_becomes_orthogonal_and_every_voxel_keeps_its_place(writer, tilt_deg):
    """The field is known everywhere, so a wrong sign or direction of the shear shows at once."""
    t = np.radians(tilt_deg)
    row, column = np.array([1.0, 0, 0]), np.array([0, np.cos(t), -np.sin(t)])
    positions = np.array([-31.0, 17.0, 640.0]) + np.arange(9)[:, None] * (0, 0, 2.5)
    _, j, i = np.indices((9, 24, 11))
    values = _field(positions[:, None, None] + j[..., None] * 0.7 * column + i[..., None] * 0.4 * row)
    loaded = load_volume(writer.series(values, positions, (*row, *column)))
    grid = loaded.volume.grid
    np.testing.assert_allclose(grid.axes_lps @ grid.axes_lps.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(grid.axes_lps[1:], [column, row], atol=1e-9)
    assert grid.spacing_kji_mm == pytest.approx((2.5 * np.cos(t), 0.7, 0.4))
    scanned = loaded.volume.array > -1024
    where = np.stack(np.nonzero(scanned), -1)
    expected = _field(grid.to_lps_mm(where))
    inner = np.ones(len(where), bool)
    for k in range(9):  # the outermost row of each slice may lie half a pixel outside what was scanned
        rows = where[where[:, 0] == k, 1]
        inner &= ~((where[:, 0] == k) & ((where[:, 1] == rows.min()) | (where[:, 1] == rows.max())))
    np.testing.assert_allclose(
        loaded.volume.array[scanned][inner], expected[inner], atol=1.0
    )  # stored values are rounded to 1 HU
    assert inner.sum() >= 9 * 22 * 11
    assert [note.code for note in loaded.notes] == ["geometry.tilt_corrected"]
    assert f"{abs(tilt_deg)} degrees" in loaded.notes[0].text


def test_resampling_invents_no_values(writer):
    """Beside metal and padding, cubic interpolation must not ring beyond what was scanned."""
    t = np.radians(12.0)
    values = np.zeros((6, 20, 8))
    values[:, 8:11, 3:5] = 3000
    positions = np.arange(6)[:, None] * np.array([0, 0, 2.2])
    array = load_volume(writer.series(values, positions, (1, 0, 0, 0, np.cos(t), -np.sin(t)))).volume.array
    assert array.max() <= 3000
    assert set(np.unique(array[array < 0])) <= {-1024.0}


def _line(grid):
    """Indices of the first voxel of every slice."""
    return np.stack([np.arange(grid.shape_kji[0]), np.zeros(grid.shape_kji[0]), np.zeros(grid.shape_kji[0])], -1)


def _files(writer):
    """Every file written."""
    return [path for path in writer.folder.rglob("*") if path.is_file()]
