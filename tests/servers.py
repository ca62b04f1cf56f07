"""Servers for the tests of every room: Orthanc and DCMTK from Debian, HTTP, ports nobody else has, and waiting for them."""

import http.client
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_S = 60.0
DEBIAN = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Where Debian puts programs; pynetdicom brings its own storescp and others under the same names."""


def debian(name: str) -> str | None:
    return shutil.which(name, path=DEBIAN)


needs_orthanc = pytest.mark.skipif(
    debian("Orthanc") is None or not PLUGIN.exists(), reason="Debian packages orthanc, orthanc-dicomweb are missing"
)
needs_dcmtk = pytest.mark.skipif(debian("storescp") is None, reason="Debian package dcmtk is missing")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_until(met: Callable[[], bool], what: str, *, within_s: float = START_S) -> None:
    """Return when something is so; fail when it takes too long."""
    end = time.monotonic() + within_s
    while not met():
        if time.monotonic() > end:
            pytest.fail(f"{what}: not within {within_s:g} s")
        time.sleep(0.05)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(command: list[str], *, port: int, log: Path, env: dict[str, str] | None = None) -> Iterator[None]:
    """A server while the block runs."""
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **(env or {})})
    try:
        wait_until(lambda: answers(port) or server.poll() is not None, f"{command[0]} answers")
        assert server.poll() is None, log.read_text(errors="replace")[-2000:]
        yield
    finally:
        server.terminate()
        server.wait(timeout=START_S)


@dataclass
class Web:
    """An HTTP server that notes what it gets and says what the test wants."""

    port: int = 0
    scheme: str = "http"
    status: int = 200
    body: bytes = b"{}"
    kind: str = "application/dicom+json"
    got: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


@contextmanager
def web(*, tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """An HTTP server while the block runs."""
    state = Web(scheme="http" if tls is None else "https")

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.got.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            said = state.body(body) if callable(state.body) else state.body
            self.send_response(state.status)
            self.send_header("Content-Type", state.kind)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_PUT = do_GET = _answer  # noqa: N815 - names of http.server

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class Orthanc:
    """A PACS."""

    http_port: int
    dicom_port: int
    folder: Path
    ae_title: str = "ORTHANC"

    @property
    def dicomweb(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def ask(self, path: str, method: str = "GET", body: bytes | None = None) -> object:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60.0)
        connection.request(method, path, body)
        answer = connection.getresponse()
        found = answer.read()
        connection.close()
        assert answer.status == http.HTTPStatus.OK, found[:500]
        return json.loads(found) if found else None

    def sop_instance_uids(self) -> set[str]:
        """Everything it holds."""
        return {one["MainDicomTags"]["SOPInstanceUID"] for one in self.ask("/instances?expand")}

    def clear(self) -> None:
        for study in self.ask("/studies"):
            self.ask(f"/studies/{study}", "DELETE")


@contextmanager
def orthanc(
    folder: Path,
    *,
    modalities: dict[str, list] | None = None,
    plugins: tuple[Path, ...] = (PLUGIN,),
    env: Callable[[Orthanc], dict[str, str]] = lambda _: {},
    **settings: object,
) -> Iterator[Orthanc]:
    """A fresh Orthanc; `modalities` are those it knows: name to AE title, host and port."""
    server = Orthanc(free_port(), free_port(), folder)
    everything = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpPort": server.http_port,
        "DicomPort": server.dicom_port, "DicomAet": server.ae_title, "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "OverwriteInstances": True,
        "Plugins": [str(one) for one in plugins], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "DicomAlwaysAllowStore": True, "DicomAlwaysAllowEcho": True, "DicomModalities": modalities or {}, **settings,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(everything))
    command = [str(debian("Orthanc")), str(folder / "orthanc.json")]
    with running(command, port=server.http_port, log=folder / "log", env=env(server)):
        wait_until(lambda: answers(server.dicom_port), "Orthanc's DICOM server answers")
        yield server
