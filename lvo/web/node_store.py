"""The store of a node as a source of studies: those still on their way, too."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from lvo.node.settings import NodeSettings
from lvo.node.view import StudyView, VersionView, open_view
from lvo.web.results import KnownResults
from lvo.web.source import Stage, StageState, StudyEntry

__all__ = ["NodeStore"]

MOST = 1000
"""The worklist shows so many, those with the newest images first; a node purges old ones."""

_ANALYSIS: Mapping[str, StageState] = {
    "queued": "waiting", "running": "running", "analysed": "done", "delivering": "done", "delivered": "done",
}  # fmt: skip
_DELIVERY: Mapping[str, StageState] = {"delivering": "running", "delivered": "done", "analysed": "waiting"}


class NodeStore:
    """Studies of a node, whether it runs or not; nothing is changed there."""

    def __init__(self, settings: NodeSettings) -> None:
        """Look at the node of these settings.

        Raises:
            OutputError: it has no store yet.
        """
        self._settings = settings
        self._known = KnownResults()
        self.version()

    def version(self) -> str:
        """Everything but the results themselves."""
        with open_view(self._settings) as view:
            return repr(view.studies(limit=MOST))

    def studies(self) -> list[StudyEntry]:
        """Studies with their newest result, if there is one."""
        with open_view(self._settings) as view:
            studies = view.studies(limit=MOST)
        self._known.keep({study.newest.folder for study in studies if study.newest and study.newest.folder})
        return [_entry(study, self._known) for study in studies]


def _entry(study: StudyView, results: KnownResults) -> StudyEntry:
    arrived_at, newest = datetime.fromisoformat(study.first_image), study.newest
    stages = (Stage(f"{study.n_images} images", "running" if study.state == "receiving" else "done"), *_steps(study))
    if newest is None or newest.folder is None:
        problem = f"quarantined: {study.reason}" if study.state == "quarantined" else ""
        return StudyEntry(study.study_uid, stages, problem=problem, arrived_at=arrived_at)
    found = results.entry(newest.folder)
    if found.document is None:
        return StudyEntry(study.study_uid, stages, problem=found.problem, arrived_at=arrived_at)
    return replace(
        found, study_instance_uid=study.study_uid, stages=stages, problem=_failed(study, newest), arrived_at=arrived_at
    )


def _failed(study: StudyView, shown: VersionView) -> str:
    """That a later version than the one shown could not be made: the study must not look finished."""
    last = study.versions[-1]
    if last.state != "quarantined" or last.folder is not None:
        return ""
    return f"version {last.version} from {last.n_images} images failed, version {shown.version} is shown: {last.reason}"


def _steps(study: StudyView) -> tuple[Stage, ...]:
    """Analysis and delivery of the last version."""
    if not study.versions:
        return ()
    last = study.versions[-1]
    quarantined: StageState = "failed" if last.state == "quarantined" else "waiting"
    analysis = "done" if last.analysed else _ANALYSIS.get(last.state, quarantined)
    delivery = _DELIVERY.get(last.state, quarantined if last.analysed else "waiting")
    return (Stage("Analysis", analysis, _seconds(last)), Stage("Delivery", delivery))


def _seconds(version: VersionView) -> float | None:
    if version.started is None or version.analysed is None:
        return None
    return (datetime.fromisoformat(version.analysed) - datetime.fromisoformat(version.started)).total_seconds()
