"""A result folder is complete or absent, whatever happens on the way."""

from dataclasses import replace
from pathlib import Path

import pytest

from lvo import run as run_module
from lvo.config import Config
from lvo.core.outcome import Absent, NotAssessable
from lvo.core.study import Study
from lvo.errors import InputError, ModelError, OutputError
from lvo.run import Request, run_study

STUDY = Study("1.2.3", ())


@pytest.fixture
def request_to(tmp_path):
    return Request(tmp_path / "results", Config(), {}, frozenset())


def test_a_crash_leaves_nothing_that_looks_like_a_result(request_to, monkeypatch):
    def crash(*_args, **_kwargs):
        assert list(request_to.out_dir.iterdir()), "the work folder exists while the analysis runs"
        msg = "broken"
        raise ModelError(msg)

    monkeypatch.setattr(run_module, "analyze", crash)
    with pytest.raises(ModelError):
        run_study(STUDY, None, request_to)
    assert list(request_to.out_dir.iterdir()) == []


def test_a_crash_keeps_the_result_that_was_there_before(request_to, monkeypatch):
    old = request_to.out_dir / "1.2.3"
    old.mkdir(parents=True)
    (old / "result.json").write_text("{}")

    def full_disk(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_module, "analyze", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        run_study(STUDY, None, request_to)
    assert [path.name for path in request_to.out_dir.iterdir()] == ["1.2.3"]
    assert (old / "result.json").read_text() == "{}"


def test_a_rename_that_fails_gives_the_old_result_back(request_to, monkeypatch):
    old = request_to.out_dir / "1.2.3"
    old.mkdir(parents=True)
    (old / "result.json").write_text("{}")
    work = request_to.out_dir / ".1.2.3.partial"
    work.mkdir()
    real = Path.rename

    def fails_once(self, target):
        if self == work:
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fails_once)
    with pytest.raises(OSError, match="Input/output"):
        run_module._take_place(work, old)
    assert (old / "result.json").read_text() == "{}"


def test_a_folder_that_cannot_be_made_is_one_clear_error(request_to, tmp_path):
    (tmp_path / "results").write_text("a file stands here")
    with pytest.raises(OutputError, match="choose another --out"):
        run_study(STUDY, None, request_to)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param({}, 0, id="both judged"),
        pytest.param({"cta": NotAssessable(("only 5 slices",))}, 3, id="what is left of an angiogram, perfusion judged"),
        pytest.param({"cta": Absent("no CT angiogram")}, 0, id="perfusion alone: partial"),
        pytest.param({"perfusion": NotAssessable(("no artery",))}, 0, id="the angiogram judged, perfusion not"),
        pytest.param({"cta": Absent("none"), "perfusion": NotAssessable(("no artery",))}, 3, id="nothing judged"),
    ],
)
def test_the_exit_status_never_sells_perfusion_for_an_answer_on_the_occlusion(report_phantom, change, status):
    assert run_module._exit_status(replace(report_phantom.report(), **change)) == status


@pytest.mark.parametrize("uid", ["../../etc", "1.2/3", "", "1." * 40 + "1"], ids=["path", "slash", "empty", "too long"])
def test_a_uid_that_is_none_never_names_a_folder(request_to, uid):
    with pytest.raises(InputError, match="0020,000D"):
        run_study(replace(STUDY, study_instance_uid=uid), None, request_to)
    assert not request_to.out_dir.exists()
