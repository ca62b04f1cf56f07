#!/usr/bin/env python3
"""Fetch a study from Orthanc, analyse it, hand the result over: `orthanc_study.py ID`.

orthanc.lua and orthanc_plugin.py call it. `orthanc_study.py --poll` looks for itself which studies became stable since the last
call: as a cron job it finds those that became stable while the hook was broken, which Orthanc never announces again. One study
at a time; results that come back are not analysed. Needs nothing but Python.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ORTHANC = os.environ.get("LVO_ORTHANC", "http://127.0.0.1:8042")
STATE = Path(os.environ.get("LVO_STATE", "/var/lib/lvo/hook"))
STUDY = Path(__file__).with_name("lvo-study")


def ask(path):
    """What Orthanc answers, as a stream."""
    return urllib.request.urlopen(ORTHANC + path, timeout=300.0)


def images(orthanc_id):
    """A digest of the CT images of a study; results that were stored back, which make it stable again, do not change it."""
    with ask(f"/studies/{orthanc_id}/series") as answer:
        series = json.load(answer)
    found = [n for one in series if one["MainDicomTags"].get("Modality") == "CT" for n in one["Instances"] if scanned(one)]
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest() if found else ""


def scanned(series):
    """Whether a series came from a scanner and not from lvo, whose series have the numbers 9001 and up."""
    return not re.fullmatch(r"90[01]\d", series["MainDicomTags"].get("SeriesNumber", "").strip())


def study(orthanc_id):
    """Analyse one study unless its images were analysed before; whether it ended well."""
    if not re.fullmatch("[0-9a-f-]{44}", orthanc_id):
        sys.exit("orthanc_study.py: no Orthanc id")
    digest, mark = images(orthanc_id), STATE / orthanc_id
    if not digest or (mark.exists() and mark.read_text() == digest):
        return True
    with ask(f"/studies/{orthanc_id}") as answer:
        uid = json.load(answer)["MainDicomTags"]["StudyInstanceUID"]
    with tempfile.TemporaryDirectory(dir=STATE) as folder:
        archive = Path(folder) / "study.zip"
        with ask(f"/studies/{orthanc_id}/archive") as answer, archive.open("wb") as out:
            shutil.copyfileobj(answer, out)
        ended = subprocess.run([STUDY, archive, uid], check=False).returncode
    mark.write_text(digest)
    return ended in {0, 4}


def poll():
    """Analyse what became stable since the last call; whether all ended well."""
    seen, well, done = STATE / "last", True, False
    while not done:
        since = seen.read_text() if seen.exists() else "0"
        with ask(f"/changes?since={since}&limit=100") as answer:
            page = json.load(answer)
        for change in page["Changes"]:
            if change["ChangeType"] == "StableStudy":
                well &= study(change["ID"])
        seen.write_text(str(page["Last"]))
        done = page["Done"]
    return well


def main():
    """Wait for the study before, then do this one."""
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sys.exit(0 if (poll() if sys.argv[1:] == ["--poll"] else study(sys.argv[1])) else 1)


if __name__ == "__main__":
    main()
