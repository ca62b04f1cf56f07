"""The processes of a node with an analysis that takes no time: everything else is the real thing.

Their wall clock jumps as the file named by LVO_TEST_CLOCK says: seconds to add, read anew each time.
"""

import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

CLOCK = os.environ.get("LVO_TEST_CLOCK", "")


def jumping(real=time.time):
    """The wall clock, wrong by as much as the file says."""
    return real() + float(Path(CLOCK).read_text())


def jumping_date(tz=None):
    """Now, by that clock."""
    return datetime.fromtimestamp(jumping(), tz)


if CLOCK:  # before anybody takes hold of the right one
    time.time = jumping

from lvo import eventlog  # noqa: E402
from lvo.node import database, handover, process  # noqa: E402
from lvo.node.jobs import Outcome  # noqa: E402

if CLOCK:
    for module in (eventlog, database, handover):
        module.datetime = SimpleNamespace(now=jumping_date, fromisoformat=datetime.fromisoformat)


def analyse(job, files, out_dir):
    """A result that says how many images it was made from."""
    time.sleep(1.5)
    folder = out_dir / job.study_uid
    folder.mkdir()
    lvo = {"call": "not_detected", "probability": 0.1, "side": None, "site": None}
    document = {
        "schema": "lvo-result/1", "status": "complete", "study": {"study_instance_uid": job.study_uid},
        "cta": {"state": "assessed", "reasons": [], "lvo": lvo}, "perfusion": {"state": "absent", "reasons": []},
        "n_images": len(files), "version": job.version,
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(document))
    (folder / "report.html").write_text("<p>stub</p>")
    return Outcome(job.study_uid, "complete", "not_detected", ("stub 1",))


def _work(settings, stop, slot):
    from lvo.node.worker import work

    work(settings, stop, slot=slot, analyse=analyse)


if __name__ == "__main__":
    process.ROLES["worker"] = _work
    sys.exit(process.main())
