"""Opens a study with its results in OHIF and takes pictures: an independent viewer, fed by an independent archive.

    npm pack @ohif/app@3.13.2 && tar xzf ohif-app-*.tgz
    python benchmarks/ohif.py --ohif package/dist --study STUDY --result RESULT --out FOLDER

Stores the files of STUDY and of RESULT/dicom into a fresh Orthanc (Debian packages orthanc, orthanc-dicomweb), serves OHIF
beside it, and drives headless Chromium (`pip install playwright`, Debian package chromium). Nothing leaves this machine. Leaves
seg.png (segmentation over the CT) and text.png (the report as text) in FOLDER.
"""

import argparse
import http.client
import json
import mimetypes
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pydicom
from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
CONFIG = """
window.config = {
  routerBasename: '/', extensions: [], modes: [], showStudyList: true, showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: false, strictZSpacingForVolumeViewport: true, investigationalUseDialog: {option: 'never'},
  defaultDataSourceName: 'dicomweb',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'dicomweb',
    configuration: {
      friendlyName: 'Orthanc', name: 'orthanc', wadoUriRoot: '/wado', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web',
      qidoSupportsIncludeField: false, imageRendering: 'wadors', thumbnailRendering: 'wadors', enableStudyLazyLoad: true,
      supportsFuzzyMatching: false, supportsWildcard: true,
    },
  }],
};
"""
PATIENCE_MS = 45_000
NO_TOUR = ".shepherd-modal-overlay-container, .shepherd-element {display: none !important}"
BROWSER = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start_orthanc(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A server that answers this machine alone, over HTTP."""
    port = free_port()
    settings = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpPort": port, "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "DicomServerEnabled": False, "Plugins": [PLUGIN], "DicomWeb": {"Enable": True},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    server = subprocess.Popen(
        [shutil.which("Orthanc") or "Orthanc", folder / "orthanc.json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(300):
        try:
            ask(port, "GET", "/system")
        except OSError:
            time.sleep(0.2)
        else:
            return server, port
    message = "Orthanc does not answer"
    raise RuntimeError(message)


def ask(port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None):  # noqa: ANN201
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300.0)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def handler(dist: Path, orthanc: int) -> type[BaseHTTPRequestHandler]:
    """OHIF's files, its configuration, and everything else from Orthanc: one origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path.startswith(("/dicom-web", "/wado")):
                status, headers, body = ask(
                    orthanc,
                    "GET",
                    self.path,
                    headers={"Accept": self.headers.get("Accept", "*/*"), "Host": self.headers["Host"]},
                )
                self.answer(status, body, headers["Content-Type"] or "application/octet-stream")
            elif path == "/app-config.js":
                self.answer(200, CONFIG.encode(), "text/javascript")
            else:
                file = dist / path.lstrip("/")
                file = file if file.is_file() else dist / "index.html"
                self.answer(200, file.read_bytes(), mimetypes.guess_type(file.name)[0] or "application/octet-stream")

        def answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            for name, value in {
                "Content-Type": kind, "Content-Length": str(len(body)), "Cross-Origin-Opener-Policy": "same-origin",
                "Cross-Origin-Embedder-Policy": "require-corp",
            }.items():  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def open_series(page: Page, words: str) -> None:
    """Double click on a thumbnail of the left panel, and agree to what is asked."""
    page.get_by_text(words).first.dblclick()
    try:
        page.get_by_text("Yes", exact=True).first.click(timeout=2 * PATIENCE_MS)
    except PlaywrightTimeoutError:
        print(f"{words}: nothing was asked")
    page.wait_for_timeout(PATIENCE_MS)


def take_pictures(port: int, study_uid: str, out: Path, slices_up: int) -> None:
    """Segmentation over the CT, then the report as text."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), headless=True, args=BROWSER)
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        page.set_default_timeout(240_000)
        page.on("console", lambda said: print("viewer:", said.text[:300]) if said.type == "error" else None)
        page.goto(f"http://127.0.0.1:{port}/viewer?StudyInstanceUIDs={study_uid}")
        page.wait_for_selector("canvas")
        page.add_style_tag(content=NO_TOUR)
        page.wait_for_timeout(PATIENCE_MS)
        open_series(page, "LVO arteries")
        page.mouse.move(900, 450)
        for _ in range(abs(slices_up)):
            page.keyboard.press("ArrowUp" if slices_up > 0 else "ArrowDown")
            page.wait_for_timeout(700)
        page.wait_for_timeout(PATIENCE_MS)
        page.screenshot(path=out / "seg.png")
        open_series(page, "LVO text")
        page.screenshot(path=out / "text.png")
        browser.close()


def main() -> None:
    """Store, serve, look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("ohif", "study", "result", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--slices-up", type=int, default=0, help="from where OHIF opens the segmentation to what is to be seen")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="lvo-ohif-"))
    server, orthanc = start_orthanc(folder)
    try:
        study_uid = ""
        for path in [*given.study.iterdir(), *(given.result / "dicom").iterdir()]:
            if path.suffix != ".json":
                status, _, said = ask(orthanc, "POST", "/instances", path.read_bytes())
                assert status == http.HTTPStatus.OK, said  # noqa: S101 - a script
                study_uid = str(pydicom.dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
        port = free_port()
        viewer = ThreadingHTTPServer(("127.0.0.1", port), handler(given.ohif, orthanc))
        threading.Thread(target=viewer.serve_forever, daemon=True).start()
        take_pictures(port, study_uid, given.out, given.slices_up)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
