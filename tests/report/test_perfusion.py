"""Pictures of the CT perfusion: every slice, the patient's sides, colours in place, no fallback that looks like a result."""

import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lvo.core.grid import Grid
from lvo.core.outcome import Absent, Assessed, NotAssessable
from lvo.core.report import Report
from lvo.core.volume import Quantity, Volume
from lvo.report.figures import draw_figures
from lvo.report.html import render_html
from lvo.report.perfusion import draw_perfusion_figures, lesion_sheet
from lvo.report.perfusion.mosaic import CORE_COLOR, HYPOPERFUSION_COLOR, LATE_COLOR, MAPS, draw_fallback, draw_lesion, draw_map
from lvo.report.perfusion.sheet import Mosaic, Sheet
from lvo.report.result import result_document

NO_ARTERY = NotAssessable(("no artery found in the CT perfusion",))


@pytest.fixture(scope="module")
def report(report_phantom) -> Report:
    """The perfusion alone."""
    whole = report_phantom.report()
    return replace(whole, cta=Absent("CT angiography was not asked for"), volumes={"ctp": whole.volumes["ctp"]})


@pytest.fixture(scope="module")
def html(report) -> str:
    return page(report)


@pytest.fixture(scope="module")
def fallen_back(report_phantom, report) -> Report:
    return replace(report, perfusion=NO_ARTERY, fallback=report_phantom.fallback())


def stack(n_slices: int, shape_ji=(12, 10)) -> tuple[dict[str, Volume], Volume]:
    """Slices that hold their own number, and a brain that fills all but the border."""
    grid = Grid.from_axes((n_slices, *shape_ji), (5.0, 6.0, 7.0), origin_lps_mm=(3, 4, 5))
    numbers = np.broadcast_to(np.arange(n_slices, dtype=np.float32)[:, None, None], grid.shape_kji)
    brain = np.zeros(grid.shape_kji, np.float32)
    brain[:, 1:-1, 1:-1] = 1.0
    return {"number": Volume(numbers, grid, Quantity.HU)}, Volume(brain, grid, Quantity.MASK)


def rgb(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), int)[..., :3]


def near(pixels: np.ndarray, color: str, within: int = 60) -> np.ndarray:
    wanted = [int(color[n : n + 2], 16) for n in (1, 3, 5)]
    return np.abs(pixels - wanted).max(axis=-1) < within


def page(report: Report) -> str:
    document = result_document(report, outputs=[], location_sop_instance_uid=None)
    return render_html(report, document, draw_figures(report))


def visible(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", " ", html, flags=re.DOTALL)))


def test_every_slice_of_a_usual_slab_is_shown():
    images, brain = stack(16)
    mosaic = Sheet.of(images, brain=brain, baseline=None, lesion=()).mosaic(30)
    assert mosaic.slices == tuple(range(16))
    assert mosaic.step == 1


def test_a_thin_stack_shows_every_nth_slice_with_the_fullest_among_them():
    images, brain = stack(320)
    lesion = np.zeros(brain.array.shape, np.float32)
    lesion[101, 3:5, 3:5] = 1.0
    images["lesion"] = Volume(lesion, brain.grid, Quantity.MASK)
    mosaic = Sheet.of(images, brain=brain, baseline=None, lesion=("lesion",)).mosaic(30)
    assert len(mosaic.slices) <= 30
    assert 101 in mosaic.slices
    assert set(np.diff(mosaic.slices)) == {mosaic.step}


def test_slices_without_brain_are_left_out_unless_they_hold_lesion():
    images, brain = stack(6)
    few = brain.array.copy()
    few[4:] = 0.0
    lesion = np.zeros_like(few)
    lesion[5, 2, 2] = 1.0
    images["lesion"] = Volume(lesion, brain.grid, Quantity.MASK)
    sheet = Sheet.of(images, brain=replace(brain, array=few), baseline=None, lesion=("lesion",))
    assert sheet.slices == (0, 1, 2, 3, 5)


def test_slices_run_from_the_feet_whatever_the_storage():
    images, brain = stack(5)
    down = brain.grid.lps_from_kji.copy()
    down[:3, 3] += down[:3, 0] * 4
    down[:3, 0] *= -1
    grid = Grid(brain.grid.shape_kji, down)
    turned = {"number": Volume(images["number"].array, grid, Quantity.HU)}
    sheet = Sheet.of(turned, brain=Volume(brain.array, grid, Quantity.MASK), baseline=None, lesion=())
    assert [float(sheet.images["number"].array[k, 0, 0]) for k in sheet.slices] == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("count", range(1, 31))
def test_a_mosaic_has_room_for_all_and_hardly_any_empty_row(count):
    images, brain = stack(count)
    mosaic = Sheet.of(images, brain=brain, baseline=None, lesion=()).mosaic(30)
    assert mosaic.n_rows * mosaic.n_columns >= count
    assert (mosaic.n_rows - 1) * mosaic.n_columns < count
    tile = mosaic.image("number")
    assert set(np.unique(tile)) == {float(k) for k in range(count)} | {0.0}


def test_a_patient_position_falls_on_its_voxel(report):
    """One bright voxel of the oblique scan is where the mosaic says that its position is."""
    sheet = lesion_sheet(report)
    mosaic = sheet.mosaic(30)
    grid = report.volumes["ctp"].grid
    hu = np.zeros(grid.shape_kji, np.float32)
    hu[2, 9, 13] = 500.0
    maps = {**report.perfusion.value.maps, "spot": Volume(hu, grid, Quantity.HU)}
    spot = Sheet.of(maps, brain=maps["brain"], baseline=report.volumes["ctp"], lesion=("hypoperfusion", "core"))
    tile = Mosaic(spot, mosaic.slices, mosaic.n_columns).image("spot")
    row, column = np.unravel_index(tile.argmax(), tile.shape)
    assert mosaic.to_column_row(tuple(grid.to_lps_mm((2, 9, 13))))[1:] == pytest.approx((column, row), abs=1e-6)


def test_a_position_outside_the_slices_falls_nowhere():
    images, brain = stack(4)
    mosaic = Mosaic(Sheet.of(images, brain=brain, baseline=None, lesion=()), (1,), 1)
    assert np.isnan(mosaic.to_column_row(tuple(brain.grid.to_lps_mm((3, 2, 2))))[1])


def test_the_lesion_is_painted_in_its_colours_on_the_patients_left(report):
    """Each slice by itself: the painted half is the right one of the picture, and lettered L."""
    pixels = rgb(draw_lesion(report.perfusion.value, lesion_sheet(report)))
    mosaic = lesion_sheet(report).mosaic(30)
    upper = pixels[: int(0.8 * len(pixels))]
    width = upper.shape[1] / mosaic.n_columns
    for color in (CORE_COLOR, HYPOPERFUSION_COLOR):
        columns = np.nonzero(near(upper, color, 90))[1]
        assert columns.size > 100
        assert ((columns % width) / width > 0.5).mean() > 0.9


def test_hypoperfusion_without_a_lesion_paints_nothing(report):
    maps = report.perfusion.value.maps
    empty = {name: replace(maps[name], array=np.zeros(maps[name].array.shape)) for name in ("core", "hypoperfusion")}
    healthy = replace(report.perfusion.value, maps={**maps, **empty}, core_ml=0.0, hypoperfusion_ml=0.0, side=None)
    pixels = rgb(draw_lesion(healthy, lesion_sheet(replace(report, perfusion=Assessed(healthy)))))
    upper = pixels[: int(0.75 * len(pixels))]
    assert not near(upper, CORE_COLOR).any()
    assert not near(upper, HYPOPERFUSION_COLOR).any()


def test_every_map_has_a_picture_with_title_unit_and_method(report, monkeypatch):
    from lvo.report.perfusion import mosaic

    said = []
    write = mosaic._Page.write
    monkeypatch.setattr(
        mosaic._Page, "write", lambda page, x, y, words, **k: (said.append(words), write(page, x, y, words, **k))
    )
    figures = draw_perfusion_figures(report)
    for key, shown in MAPS.items():
        assert key in figures
        assert shown.unit in said
        assert any(shown.title in words and shown.unit in words for words in said)
    assert any("oscillation-limited SVD" in words for words in said)


def test_a_map_without_flow_shows_no_colour(report):
    """Where no blood was found there is no value, so fluid must not look like dead tissue."""
    maps = report.perfusion.value.maps
    dry = replace(maps["cbv"], array=np.zeros(maps["cbv"].array.shape, np.float32))
    result = replace(report.perfusion.value, maps={**maps, "cbv": dry})
    pixels = rgb(draw_map(result, "tmax", lesion_sheet(replace(report, perfusion=Assessed(result)))))
    left_part = pixels[60:-60, : int(0.85 * pixels.shape[1])]
    assert (np.ptp(left_part, axis=-1) < 40).mean() > 0.99


def test_dropped_frames_and_uncorrected_motion_are_said(report, monkeypatch):
    from lvo.report.perfusion import quality

    said = []
    text = quality.Figure.text
    monkeypatch.setattr(quality.Figure, "text", lambda figure, x, y, s, **k: (said.append(s), text(figure, x, y, s, **k))[1])
    quality.draw_motion(report.perfusion.value.motion)
    assert any("Motion corrected: at most 4.4 mm" in s and "1 of 40 frames dropped" in s for s in said)
    quality.draw_motion(replace(report.perfusion.value.motion, corrected=False))
    assert any("NOT corrected" in s for s in said)


def test_the_page_reads_in_the_order_of_a_reader(report, html):
    body = html[html.index("<body>") :]
    perfusion = report.perfusion.value
    landmarks = [
        "CT ANGIOGRAM NOT ANALYSED", "Left side:", 'alt="Core and hypoperfusion', f"{perfusion.core_ml:.0f} mL</b>",
        "CBF, share of normal tissue", 'alt="Cerebral blood flow', 'alt="Arterial input', 'alt="Motion',
        ">noise of smoothed curves<", "Selection rules",
    ]  # fmt: skip
    places = [body.index(words) for words in landmarks]
    assert places == sorted(places)


def test_curves_motion_and_quality_are_tables_with_words(html):
    words = visible(html)
    assert "A1 chosen 0.87" in words
    assert "A2 not chosen 0.44" in words
    assert re.search(r"noise of smoothed curves 2\.35 HU", words)
    assert "warning: The AIF peak is low against the VOF." in words
    assert "CBF by oscillation-limited SVD" in words


def test_every_table_has_a_heading_over_every_column(html):
    for table in re.findall(r"<table.*?</table>", html, flags=re.DOTALL):
        for heading in re.findall(r"<thead>.*?</thead>", table, flags=re.DOTALL):
            assert not re.search(r"<th[^>]*></th>", heading)


def test_wide_tables_fold_on_a_narrow_screen(html):
    """Folded rows have no heading above them: every cell carries its own."""
    assert "table.stack thead { display: none; }" in html
    for table in re.findall(r'<table class="stack.*?</table>', html, flags=re.DOTALL):
        cells = re.findall(r"<td[^>]*>", table)
        assert cells
        assert all("data-label=" in cell for cell in cells)


def test_a_fallback_has_its_picture_and_is_no_result(fallen_back):
    figures = draw_figures(fallen_back)
    assert "fallback" in figures
    assert not set(figures) & {"perfusion", "curves", *MAPS}
    html = page(fallen_back)
    words = visible(html)
    assert "PERFUSION COULD NOT BE JUDGED" in words
    assert words.index("PERFUSION COULD NOT BE JUDGED") < words.index("FALLBACK, NOT A PERFUSION RESULT")
    assert 'class="tile core"' not in html
    assert "mismatch volume" not in words.split("Selection rules")[0]


def test_a_fallback_has_a_colour_of_its_own(fallen_back):
    pixels = rgb(draw_fallback(fallen_back.fallback, fallen_back.volumes["ctp"]))
    assert near(pixels, LATE_COLOR).any()
    assert not near(pixels, CORE_COLOR).any()
    assert not near(pixels, HYPOPERFUSION_COLOR).any()


def test_without_fallback_there_is_no_word_of_it(report):
    refused = replace(report, perfusion=NO_ARTERY)
    assert draw_perfusion_figures(refused) == {}
    assert "FALLBACK" not in visible(page(refused))


def test_a_lesion_that_was_not_judged_cannot_be_drawn(fallen_back):
    with pytest.raises(ValueError, match="not judged"):
        lesion_sheet(fallen_back)
