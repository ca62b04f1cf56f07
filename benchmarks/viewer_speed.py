"""How fast a finding is seen: from the click to the evidence picture, to a volume to scroll through, to its full resolution.

The picture counts when the browser has painted it (Element Timing), not when it has arrived. Makes a result whose angiogram has
512 x 512 x 340 voxels (a made-up head: nothing has to be analysed), serves it on this machine, and opens it in headless
Chromium with software rendering. Needs the extras web and dev, and Debian's chromium.

    python benchmarks/viewer_speed.py [REPEATS]
"""

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import uvicorn
from playwright.sync_api import Page, sync_playwright

from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.report import Call, CtaResult, Finding, Output, Report, Side, Site
from lvo.core.volume import Quantity, Volume
from lvo.nifti.volumes import write_nifti
from lvo.report.figures import draw_figures
from lvo.report.preview import full_volume, preview_volumes
from lvo.report.result import result_document, result_text
from lvo.web.app import create_app
from lvo.web.results import ResultsFolder
from lvo.web.settings import WebSettings

SHAPE_KJI, SPACING_KJI_MM = (340, 512, 512), (0.6, 0.45, 0.45)
UID = "1.2.826.0.1.3680043.8.498.340"
PORT = 8799
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]


def made_up_study() -> Report:
    """Noise of 12 HU in a skull, with a few vessels: as hard to compress as a real head."""
    half = (np.array(SHAPE_KJI) - 1) / 2.0 * SPACING_KJI_MM
    grid = Grid.from_axes(SHAPE_KJI, SPACING_KJI_MM, origin_lps_mm=-half[::-1], frame_of_reference_uid="1.2.3")
    z, y, x = (np.linspace(-h, h, n, dtype=np.float32) for h, n in zip(half, SHAPE_KJI, strict=True))
    radius = np.sqrt((x / 75) ** 2 + (y[:, None] / 92) ** 2 + (z[:, None, None] / 88) ** 2)
    hu = np.where(radius < 1.1, np.float32(40.0), np.float32(-1000.0))
    hu[(radius >= 0.96) & (radius < 1.04)] = 1100.0
    hu += np.random.default_rng(1).normal(0.0, 12.0, SHAPE_KJI).astype(np.float32)
    vessel = np.zeros(SHAPE_KJI, np.uint8)
    for depth in range(-30, 40, 10):
        tube = (np.abs(y[:, None] - depth) < 1.5) & (np.abs(z[:, None, None] + 14) < 1.5) & (np.abs(x) > 8) & (np.abs(x) < 45)
        vessel[np.broadcast_to(tube, SHAPE_KJI)] = 2
    hu[vessel > 0] = 350.0
    volumes = {
        "cta": Volume(hu.round().astype(np.int16), grid, Quantity.HU),
        "vessels": Volume(vessel, grid, Quantity.LABEL),
        "brain": Volume(radius < 0.94, grid, Quantity.MASK),
    }
    finding = Finding(Call.SUSPECTED, 0.93, 0.7, Side.LEFT, Site.M1, (30.0, 0.0, -14.0))
    result = CtaResult(finding, (), None, 320.0, "arterial", pose=HeadPose(np.eye(4), 0.9))
    return Report(UID, Assessed(result), NotAssessable(("no scan",)), (), (), (), (), "cd" * 32, {}, volumes)


def write(report: Report, results: Path) -> None:
    """The result folder with what a viewer loads; prints sizes and times."""
    folder, outputs = results / UID, []
    (folder / "images").mkdir(parents=True)
    for name, picture in draw_figures(report).items():
        (folder / "images" / f"{name}.png").write_bytes(picture)
        outputs.append(Output("image", f"images/{name}.png"))
    cpu_s = time.process_time()
    previews, full = preview_volumes(report, report.volumes["cta"]), full_volume(report, report.volumes["cta"])
    for name, volume in (previews | ({"cta_full": full} if full else {})).items():
        write_nifti(volume, folder / "preview" / f"{name}.nii.gz")
        outputs.append(Output("preview", f"preview/{name}.nii.gz"))
        print(f"{name:8s} {volume.grid.shape_kji} {(folder / 'preview' / f'{name}.nii.gz').stat().st_size / 1e6:6.1f} MB")
    print(f"making the previews: {time.process_time() - cpu_s:.1f} s of processor time")
    document = result_document(report, outputs=outputs, location_sop_instance_uid=None)
    (folder / "result.json").write_text(result_text(document))


def marks(page: Page) -> dict[str, float]:
    """Seconds since the click, by the page's own clock (navigation start)."""
    page.wait_for_selector(".angiogram[data-ready]", timeout=300_000)
    page.wait_for_selector(".angiogram[data-full]", timeout=300_000)
    found = page.evaluate("""async () => {
      const seen = await new Promise((done) => {
        new PerformanceObserver((list) => done(list.getEntries())).observe({ type: 'element', buffered: true })
      })
      const painted = seen.map((entry) => [`${entry.identifier}-painted`, entry.renderTime])
      return [...painted, ...performance.getEntriesByType('mark').map((mark) => [mark.name, mark.startTime])]
    }""")
    return {name: ms / 1000.0 for name, ms in found}


def scroll_ms(page: Page) -> float:
    """Median time from one key to the next frame with all three planes drawn, over 20 slices."""
    return page.evaluate("""async () => {
      const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
      const times = []
      for (let n = 0; n < 20; n++) {
        const start = performance.now()
        document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowUp', bubbles: true }))
        await frame()
        times.push(performance.now() - start)
      }
      return times.sort((a, b) => a - b)[10]
    }""")


def main() -> None:
    """Print a line per opening, and the medians."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as scratch:
        write(made_up_study(), Path(scratch) / "results")
        app = create_app(ResultsFolder(Path(scratch) / "results"), Path(scratch) / "state", WebSettings(), needs_accounts=False)
        server = uvicorn.Server(uvicorn.Config(app, port=PORT, log_level="error"))
        threading.Thread(target=server.run, daemon=True).start()
        rows = []
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            for _ in range(repeats):
                page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
                page.goto(f"http://127.0.0.1:{PORT}/")
                page.click("tbody tr a")
                row = {**marks(page), "scroll_ms": scroll_ms(page), "load": os.getloadavg()[0]}
                rows.append(row)
                print(json.dumps({name: round(value, 3) for name, value in row.items()}), flush=True)
                page.context.close()
            browser.close()
        server.should_exit = True
    for name in rows[0]:
        print(f"median {name:20s} {float(np.median([row[name] for row in rows])):8.3f}")


if __name__ == "__main__":
    main()
