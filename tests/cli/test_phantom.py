"""`lvo phantom` writes a whole study with its truth, or nothing."""

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from click.testing import CliRunner

from lvo.cli import main
from lvo.cli.phantom import command
from lvo.core.grid import Grid
from lvo.core.study import Role
from lvo.core.volume import TimeSeries
from lvo.errors import OutputError, UsageError
from lvo.synth.study import SyntheticStudy

OPTIONS = ["--size", "small", "--occlusion", "left-M1", "--seed", "5", "--rotation", "8,-6,12", "--shift", "20,-15,40"]


def phantom(kind: str, out: Path, *options: str):
    return CliRunner().invoke(command, [kind, "--out", str(out), *options], catch_exceptions=False)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "study"
    result = phantom("study", out, *OPTIONS)
    assert result.exit_code == 0
    assert result.stderr == "", "silent in a pipe"
    assert "642 DICOM images" in result.stdout
    return out


@pytest.fixture(scope="module")
def truth(study) -> dict:
    return json.loads((study / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def images(study) -> list[pydicom.Dataset]:
    paths = sorted(path for path in study.iterdir() if path.name != "truth.json")
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]


def read_series(study: Path, truth: dict, name: str) -> SimpleITK.Image:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(study), truth["series_instance_uids"][name]))
    return reader.Execute()


def hu_at(image: SimpleITK.Image, point_lps_mm, reach: int = 1) -> float:
    """Brightest voxel next to a patient position, found by SimpleITK's own geometry."""
    i, j, k = image.TransformPhysicalPointToIndex([float(x) for x in point_lps_mm])
    around = tuple(slice(n - reach, n + reach + 1) for n in (k, j, i))
    return float(SimpleITK.GetArrayViewFromImage(image)[around].max())


def test_truth_says_what_was_asked(truth):
    assert (truth["schema"], truth["seed"], truth["occlusion"]) == ("lvo-truth/1", 5, "left-M1")
    assert (truth["side"], truth["site"]) == ("left", "M1")
    assert 0.0 < truth["core_ml"] < truth["hypoperfusion_ml"]


def test_artery_is_dark_at_the_clot_and_bright_on_the_other_side(study, truth):
    """The clot lies where truth.json says, in absolute LPS mm read by another library."""
    cta = read_series(study, truth, "cta")
    atlas_from_lps = np.array(truth["atlas_from_lps"])
    clot = np.array(truth["clot_center_lps_mm"])
    mirrored = np.linalg.inv(atlas_from_lps) @ (np.diag([-1.0, 1.0, 1.0, 1.0]) @ atlas_from_lps @ np.append(clot, 1.0))
    assert hu_at(cta, clot) < 0.55 * truth["arterial_hu"]
    assert hu_at(cta, mirrored[:3], reach=3) > 0.6 * truth["arterial_hu"]


def test_five_series_of_one_study_in_one_frame_of_reference(images):
    assert len({image.StudyInstanceUID for image in images}) == 1
    assert len({image.SeriesInstanceUID for image in images}) == 5
    assert len({image.FrameOfReferenceUID for image in images if "FrameOfReferenceUID" in image}) == 1
    assert len({image.SOPInstanceUID for image in images}) == len(images)


def test_perfusion_has_thirty_times_at_sixteen_positions(images, truth):
    mine = [image for image in images if image.SeriesInstanceUID == truth["series_instance_uids"]["ctp"]]
    assert len({tuple(image.ImagePositionPatient) for image in mine}) == 16
    assert len({image.AcquisitionDateTime for image in mine}) == 30


def test_indexing_finds_every_role(study):
    """The reader of this package sees localizer, plain CT, CTA, CTP and a derived page, and chooses the right ones."""
    from lvo.dicom.index import open_studies
    from lvo.dicom.select import choose

    with open_studies([study]) as studies:
        rows = choose(studies[0]).rows
    assert {(row.role, row.used) for row in rows} == {
        (Role.LOCALIZER, False), (Role.NCCT, True), (Role.CTA, True), (Role.CTP, True), (Role.DERIVED, False),
    }  # fmt: skip


def test_same_options_give_the_same_bytes(study, tmp_path, truth):
    """The angiogram alone is byte for byte the angiogram of the study."""
    result = phantom("cta", tmp_path / "cta", *OPTIONS, "--json")
    alone = {path.name: path.read_bytes() for path in (tmp_path / "cta").iterdir() if path.name != "truth.json"}
    assert len(alone) == 128
    assert all((study / name).read_bytes() == content for name, content in alone.items())
    assert json.loads(result.stdout)["clot_center_lps_mm"] == truth["clot_center_lps_mm"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param(["--occlusion", "left-M9"], "left- or right- with ICA, ICA-T, M1", id="unknown occlusion"),
        pytest.param(["--rotation", "1,2"], "three numbers", id="two angles"),
        pytest.param(["--shift", "a,b,c"], "three numbers", id="no numbers"),
        pytest.param(["--shift", "nan,0,0"], "finite", id="not finite"),
    ],
)
def test_wrong_options_are_refused_and_leave_nothing(tmp_path, options, says):
    with pytest.raises(UsageError, match=says):
        phantom("cta", tmp_path / "x" / "out", "--size", "small", *options)
    assert not (tmp_path / "x").exists() or not list((tmp_path / "x").iterdir())


def test_wrong_usage_ends_with_status_two(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["lvo", "phantom", "cta", "--out", str(tmp_path / "o"), "--occlusion", "middle"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("lvo: there is no occlusion 'middle'")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="not empty"):
        phantom("cta", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        phantom("cta", tmp_path / "file" / "out")


def test_a_run_that_dies_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(*_args, **_kwargs):
        raise OutputError("disk full")  # noqa: TRY003, EM101

    monkeypatch.setattr(SyntheticStudy, "ctp", full_disk)
    with pytest.raises(OutputError, match="disk full"):
        phantom("ctp", tmp_path / "out", "--size", "small")
    assert list(tmp_path.iterdir()) == []


def test_a_layout_nobody_knows_is_refused_before_anything_is_drawn(tmp_path):
    with pytest.raises(UsageError, match="there are plain, ge-cine, ge-shuttle, ge-enhanced, siemens,"):
        phantom("ctp", tmp_path / "out", "--layout", "acme")
    assert not (tmp_path / "out").exists()


def test_a_layout_is_written_at_its_own_times(tmp_path, monkeypatch):
    """Two slabs by turns: the scan itself is drawn at these times."""

    def blank(self):
        return TimeSeries(np.zeros((*self.ctp_times_s.shape, 4, 4), np.float32), _tiny(self.ctp_grid), self.ctp_times_s)

    monkeypatch.setattr(SyntheticStudy, "ctp", blank)
    assert phantom("ctp", tmp_path / "out", "--layout", "philips-jog", "--size", "small").exit_code == 0
    images = [pydicom.dcmread(path) for path in (tmp_path / "out").iterdir() if path.suffix != ".json"]
    assert len(images) == 30 * 16
    assert len({image.AcquisitionTime for image in images}) == 60
    assert {int(image.TemporalPositionIdentifier) for image in images} == set(range(1, 61))


def _tiny(grid: Grid) -> Grid:
    """The same slices, four by four pixels."""
    return Grid((grid.shape_kji[0], 4, 4), grid.lps_from_kji)
