"""The committed pages are built from the sources beside them, know the routes, and bring everything with them."""

import hashlib
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "lvo" / "web" / "static"


def test_the_build_is_of_these_sources():
    names = ["audit.html", "index.html", "package-lock.json", "signin.html", "study.html", "vite.config.ts"]
    names += [f"{folder}/{path.name}" for folder in ("public", "src") for path in (ROOT / "web" / folder).iterdir()]
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\0".encode() + (ROOT / "web" / name).read_bytes())
    built = (STATIC / "sources.sha256").read_text().strip()
    assert digest.hexdigest() == built, "run `npm ci && npm run build` in web/ and commit lvo/web/static"


def test_the_types_of_the_pages_are_those_of_the_server(open_server):
    now, then = open_server.app.openapi(), json.loads((ROOT / "web" / "openapi.json").read_text())
    write = "write app.openapi() into web/openapi.json, then `npm run types` and `npm run build` in web/"
    assert {path: sorted(now["paths"][path]) for path in now["paths"]} == {
        p: sorted(then["paths"][p]) for p in then["paths"]
    }, write
    fields = [
        {name: sorted(schema.get("properties", {})) for name, schema in document["components"]["schemas"].items()}
        for document in (now, then)
    ]
    assert fields[0] == fields[1], write


def test_pages_bring_everything_and_have_nothing_inline():
    for page in STATIC.glob("*.html"):
        text = page.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text), page.name
        assert all(link.startswith("/") for link in re.findall(r"(?:src|href)=\"([^\"]+)", text)), page.name
        assert "Not validated on patients" in text
        assert "cannot rule out an occlusion" in text


def test_the_licences_of_what_is_bundled_are_there():
    text = (STATIC / "licenses.txt").read_text()
    bundled = json.loads((ROOT / "web" / "package.json").read_text())["dependencies"]
    assert bundled
    assert all(f"== {name} {version}" in text for name, version in bundled.items())
