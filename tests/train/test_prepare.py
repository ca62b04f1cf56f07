"""What a run learns from: real scans alone or mixed with synthetic heads, each scan registered once, none that changed."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from msgspec.structs import replace

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.volume import Quantity, Volume
from lvo.errors import InputError
from lvo.train import local_cases, manifest_data, prepare
from lvo.train.config import ManifestSettings
from lvo.train.data import PatchDataset, TrainingCrops
from lvo.train.datasets import data_set
from lvo.train.datasets.check import survey
from lvo.train.datasets.index import SplitPlan, build_manifest
from lvo.train.datasets.manifest import Entry, FileRef, write_data_manifest
from lvo.train.export import _describe
from lvo.train.manifest_data import Registered, read_sources, register_entry
from lvo.train.shards import Crop

REAL_HU = 321


def write(path: Path, array: np.ndarray) -> None:
    image = nibabel.Nifti1Image(array, np.diag([-1.0, 1.0, 1.2, 1.0]))
    image.set_sform(image.affine, 1)
    nibabel.save(image, path)


@pytest.fixture
def manifest(tmp_path):
    """Four scans of a folder, three with labels; one of these is for validation."""
    folder = tmp_path / "scans"
    folder.mkdir()
    lines = ["image,subject,arteries,split"]
    for n in range(4):
        write(folder / f"{n}.nii.gz", np.full((64, 64, 60), -1000 + n, np.int16))
        write(folder / f"{n}_label.nii.gz", np.ones((64, 64, 60), np.uint8))
        lines.append(f"{n}.nii.gz,s{n},{f'{n}_label.nii.gz' if n < 3 else ''},{'validation' if n == 2 else 'training'}")
    (folder / "cases.csv").write_text("\n".join(lines))
    path = tmp_path / "m.json"
    found = survey(data_set("folder"), folder, values=False, hashes=True)
    write_data_manifest(build_manifest(found, path, SplitPlan()), path)
    return path


@pytest.fixture
def registering(monkeypatch):
    """Registration replaced: a crop full of one value; s1 cannot be registered."""
    asked = []

    def register(_source, entry, settings, *, labels):
        assert labels
        asked.append(entry.subject)
        if entry.subject == "s1":
            return NotAssessable(("no head was found",))
        grid = Grid.from_axes((24, 24, 24), (settings.spacing_mm,) * 3, origin_lps_mm=(1.0, -2.0, 3.0))
        hu = Volume(np.full(grid.shape_kji, REAL_HU, np.int16), grid, Quantity.HU)
        classes = Volume(np.full(grid.shape_kji, VESSEL_CLASSES.index("MCA"), np.uint8), grid, Quantity.LABEL)
        return Assessed(Registered(hu, classes, HeadPose(np.eye(4), 1.0), hu))

    monkeypatch.setattr(manifest_data, "register_entry", register)
    return asked


def test_real_scans_alone_render_no_head_and_are_registered_once(tiny, manifest, registering, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "ensure_crops", lambda *_, **__: pytest.fail("a synthetic head was rendered"))
    config = replace(tiny, manifests=ManifestSettings(paths=(str(manifest),)))
    lines: list[str] = []
    made = prepare.prepare(config, tmp_path / "cache", progress=lines.append)
    assert (len(made.training.real), len(made.training.box), len(made.validation)) == (1, 0, 1)
    np.testing.assert_allclose(made.training.real[0].corner_atlas_mm, (1.0, -2.0, 3.0))
    assert "not used: s1 no head was found" in lines
    assert "not used: s3 has no labels of arteries or clot" in lines
    again = prepare.prepare(config, tmp_path / "cache")
    assert sorted(registering) == ["s0", "s1", "s2"]
    assert np.array_equal(again.training.real[0].hu, made.training.real[0].hu)


def test_what_was_learnt_from_and_its_licence_go_into_the_model(tiny, manifest, registering, tmp_path):
    config = replace(tiny, manifests=ManifestSettings(paths=(str(manifest),)))
    made = prepare.prepare(config, tmp_path / "cache")
    words = _describe(made.config)
    assert words.startswith(
        "real scans (100% of the patches): a folder with cases.csv, 3 scans for training and 1 for validation"
    )
    assert "licence: as you say" in words
    assert made.config.sha256 != config.sha256  # the data are part of the run
    mixed = replace(made.config, manifests=replace(made.config.manifests, share=0.5))
    assert "synthetic: random tubes" in _describe(mixed)
    assert registering


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_patches_are_cut_from_real_scans_as_often_as_asked(tiny, tiny_crops, share):
    box = Crop(np.full((24, 24, 24), REAL_HU, np.int16), np.ones((24, 24, 24), np.uint8), np.zeros(3), np.ones(3))
    config = replace(tiny, manifests=ManifestSettings(paths=("m",), share=share))
    data = PatchDataset(TrainingCrops(tiny_crops[0].box, tiny_crops[0].cubes, (box,)), config, 200)
    pools = [data._pool(np.random.default_rng(n)) for n in range(400)]
    n_real = sum(pool is data._pools[2] for pool in pools)
    assert abs(n_real / 400 - share) < 0.07
    assert (share == 1.0) == (n_real == 400)


def test_nothing_to_learn_from_is_refused(tiny, manifest, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="nothing to learn from"):
        PatchDataset(TrainingCrops(()), tiny, 1)
    monkeypatch.setattr(manifest_data, "register_entry", lambda *_, **__: NotAssessable(("no head",)))
    with pytest.raises(InputError, match="no scan of the manifests can be trained on"):
        prepare.prepare(replace(tiny, manifests=ManifestSettings(paths=(str(manifest),))), tmp_path / "cache")


@pytest.mark.parametrize("change", ["altered", "gone"])
def test_a_file_that_is_not_the_indexed_one_is_refused(tiny, manifest, change):
    (source,) = read_sources([manifest])
    path = source.root / "0.nii.gz"
    path.unlink()
    if change == "altered":
        write(path, np.zeros((64, 64, 60), np.int16))
    with pytest.raises(InputError, match=r"index a folder with cases\.csv again"):
        register_entry(source, source.manifest.entries[0], tiny.data)


@pytest.mark.parametrize(
    ("occluded", "site", "words"),
    [
        pytest.param(None, "", "nobody says", id="unknown outcome"),
        pytest.param(True, "P1", "P1 is not judged", id="a vessel that the call does not judge"),
        pytest.param(True, "M1", "", id="M1"),
        pytest.param(True, "", "", id="no site"),
        pytest.param(False, "", "", id="not occluded"),
    ],
)
def test_which_cases_say_something_about_the_call(occluded, site, words):
    image = FileRef(path="a", sha256="0" * 64)
    entry = Entry(subject="a", patient="a", kind="cta", image=image, split="training", occluded=occluded, site=site)
    why = local_cases._unfit(entry)
    assert words in why
    assert bool(words) == bool(why)
