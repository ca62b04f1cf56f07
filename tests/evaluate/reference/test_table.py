"""A reference table: what it may say, and every way in which it is refused."""

import pytest

from lvo.core.report import Side, Site
from lvo.errors import InputError
from lvo.evaluate.reference.table import read_reference


def written(tmp_path, text):
    path = tmp_path / "reference.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_full_row(tmp_path):
    header = (
        "study,lvo,side,site,part,x_lps_mm,y_lps_mm,z_lps_mm,scanner,kv,slice_mm,age,sex,centre,split,core_ml,artery_mask,"
        "group:contrast,reader:A,reader:A:aided,note"
    )
    row = "1.2.3,yes,left,ICA-T,,21.5,-4,-12,Scanner A,100,0.625,81,f,North,test,12.5,masks/1.nii.gz,Iomeron,0.4,no,hello"
    found = read_reference(written(tmp_path, f"{header}\n{row}\n"))
    (truth,) = found.rows
    assert (truth.lvo, truth.side, truth.site, truth.location_lps_mm) == (True, Side.LEFT, Site.ICA_T, (21.5, -4.0, -12.0))
    assert truth.facts == {
        "kv": 100.0, "slice_mm": 0.625, "age": 81.0, "scanner": "Scanner A", "sex": "f", "centre": "North", "split": "test",
        "contrast": "Iomeron",
    }  # fmt: skip
    assert truth.volumes_ml == {"core_ml": 12.5}
    assert truth.masks == {"artery_mask": tmp_path / "masks" / "1.nii.gz"}
    assert {name: (one.score, one.called) for name, one in truth.readings.items()} == {
        "A": (0.4, False),
        "A:aided": (0.0, False),
    }
    assert found.readers == ("A", "A:aided")
    assert found.notes == ("column 'note' of the reference table is not known and was not used",)


def test_semicolons_byte_order_mark_and_an_unknown_truth(tmp_path):
    path = tmp_path / "reference.csv"
    path.write_text("study;lvo;age\n1.2;;70\n1.3;0;\n", encoding="utf-8-sig")
    assert [(row.lvo, dict(row.facts)) for row in read_reference(path).rows] == [(None, {"age": 70.0}), (False, {})]


def test_a_repeated_row_counts_once_and_is_named(tmp_path):
    found = read_reference(written(tmp_path, "study,lvo\n1.2,1\n1.3,0\n1.2,1\n"))
    assert [row.study for row in found.rows] == ["1.2", "1.3"]
    assert found.notes == ("line 4 of the reference table repeats an earlier one and counts once",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("study\n1.2\n", "lacks the column lvo", id="no truth"),
        pytest.param("study,lvo,lvo\n1.2,1,1\n", "column lvo twice", id="a column twice"),
        pytest.param("study,lvo\nJohn Smith,1\n", "line 2, column study: needs a StudyInstanceUID", id="a name for a study"),
        pytest.param("study,lvo\n1.2,maybe\n", "line 2, column lvo: needs 1, 0, or nothing", id="no yes or no"),
        pytest.param("study,lvo,side\n1.2,1,links\n", "column side: needs one of left, right, both, midline", id="no side"),
        pytest.param("study,lvo,site\n1.2,1,MCA\n", "column site: needs one of ICA, ICA-T, M1", id="no site"),
        pytest.param("study,lvo,side\n1.2,0,left\n", "needs 1 where a side, site or place", id="a side without occlusion"),
        pytest.param("study,lvo,x_lps_mm\n1.2,1,3\n", "all of x, y and z or none", id="a third of a place"),
        pytest.param("study,lvo,age\n1.2,1,old\n", "column age: needs a number or nothing", id="no number"),
        pytest.param("study,lvo,age\n1.2,1,nan\n", "column age: needs a number or nothing", id="not a number"),
        pytest.param("study,lvo,reader:A\n1.2,1,1.5\n", "column reader:A: needs a score from 0 to 1", id="a score above 1"),
        pytest.param("study,lvo\n1.2,1\n1.2,0\n", "lines 2 and 3 say different things about one study", id="contradiction"),
        pytest.param("study,lvo\n1.2,1,left\n", "line 2 has 3 cells, the header has 2", id="more cells than columns"),
        pytest.param('study,lvo\n"1.2,1\n', "cannot be read as CSV", id="an open quote"),
        pytest.param("", "is empty", id="empty file"),
    ],
)
def test_it_is_refused_with_line_and_column(tmp_path, text, says):
    with pytest.raises(InputError, match=says) as caught:
        read_reference(written(tmp_path, text))
    assert "Smith" not in str(caught.value)
    assert "links" not in str(caught.value)


def test_all_mistakes_are_named_at_once_but_not_more_than_ten(tmp_path):
    rows = "".join(f"1.{number},perhaps\n" for number in range(12))
    with pytest.raises(InputError, match=r"line 2, .*; line 3, .*; line 11, .*; and 2 more$"):
        read_reference(written(tmp_path, f"study,lvo\n{rows}"))


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_reference(tmp_path / "none.csv")
