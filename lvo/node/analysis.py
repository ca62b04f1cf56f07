"""What a worker does with a study: `lvo.run`, with what only the node knows said in the result."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from lvo.config import Config, load_config, load_service
from lvo.core.outcome import Assessed
from lvo.core.report import Report
from lvo.core.study import Role, Study, StudyNote
from lvo.core.transfer import Transfer
from lvo.criteria.clinical import ClinicalFacts
from lvo.dicom.index import open_studies
from lvo.dicom.select import choose
from lvo.errors import InputError
from lvo.node.fetching import Fetched, fetch_missing
from lvo.node.jobs import Job, Outcome
from lvo.node.settings import NodeSettings
from lvo.run import Request, load_models, result_event, run_study

__all__ = ["Analyst"]

ROLES = frozenset({Role.CTA, Role.CTP, Role.NCCT})


class Analyst:
    """Analyses studies; loads the models once."""

    def __init__(self, settings: NodeSettings) -> None:
        """Load the models.

        Raises:
            ConfigError: the settings of the analysis or of the hospital are wrong.
            ModelError: a model is missing or altered.
        """
        self._config: Config = load_config(Path(settings.analysis) if settings.analysis else None)
        self._destinations = _destinations(settings)
        self._settings = settings
        self._models = load_models(self._config)

    def __call__(self, job: Job, files: Sequence[Path], out_dir: Path) -> Outcome:
        """Analyse one study.

        Raises:
            InputError: nothing in it can be read.
            OutputError: the result cannot be written.
            ModelError: a model does not do what its manifest says.
        """
        with open_studies(files) as found:
            study = next((study for study in found if study.study_instance_uid == job.study_uid), None)
            if study is None:
                msg = "none of the images that were received for this study can be read; send them again"
                raise InputError(msg)
            if job.early and choose(study, self._config.selection).cta is None:
                return Outcome("")
            notes = _notes(job, len(files))
            may_ask = not job.early and not job.fetched and bool(self._settings.delivery.sources)
            if may_ask and self._lacks(job, study, len(files)):
                may_ask, fetched = False, self._fetch(job, out_dir)
                if fetched.n_new:
                    return Outcome("")  # the next version has them
                if fetched.problems:
                    text = f"Missing images could not be fetched: {'; '.join(fetched.problems)}"
                    notes.append(StudyNote("study.not_fetched", text))
            study = replace(study, notes=study.notes + tuple(notes))
            request = Request(out_dir, self._config, {}, ROLES, self._destinations)
            result = run_study(study, self._models, request)
        judged = isinstance(result.report.cta, Assessed)
        if not judged and (job.early or (may_ask and self._fetch(job, out_dir).n_new)):
            return Outcome("")  # slices are missing: they may still come, or have just been fetched
        event = result_event(result.report, site=self._settings.site, at=datetime.now().astimezone())
        return Outcome(
            result.folder.name,
            str(result.document["status"]),
            event.facts.call or "absent",
            tuple(f"{model.name} {model.version}" for model in result.report.models),
        )

    def _fetch(self, job: Job, out_dir: Path) -> Fetched:
        return fetch_missing(self._settings, job.study_uid, out_dir / "fetched")

    def _lacks(self, job: Job, study: Study, n_files: int) -> bool:
        """Whether a study lacks an angiogram, or images that came once or were announced."""
        return n_files < max(job.n_images, job.expected or 0) or choose(study, self._config.selection).cta is None


def _notes(job: Job, n_files: int) -> list[StudyNote]:
    """What only the node knows of a study, of which so many images are here."""
    notes = []
    if job.early:
        text = "Made as soon as an angiogram was complete; a new version follows if more images of the study arrive"
        notes.append(StudyNote("study.early", text, warning=False))
    if job.previous:
        text = (
            f"Version {job.version} of the result of this study, from {job.n_images} images; it replaces version {job.previous}"
        )
        notes.append(StudyNote("study.amended", text, warning=False))
    if job.fetched:
        notes.append(StudyNote("study.fetched", "Images that were missing were fetched from a PACS", warning=False))
    if not job.early and job.expected is not None and n_files < job.expected:
        text = f"{n_files} of {job.expected} images that were announced have arrived; send the others"
        notes.append(StudyNote("study.incomplete", text))
    elif n_files < job.n_images:
        text = f"{n_files} of {job.n_images} images that came are still here, the others were removed; send the study again"
        notes.append(StudyNote("study.incomplete", text))
    return notes


def _destinations(settings: NodeSettings) -> Callable[[Report], Transfer | None] | None:
    """How a report gets its thrombectomy centres; None where the hospital has not configured them."""
    service = load_service(Path(settings.service)) if settings.service else None
    if service is None or service.transfer is None:
        return None
    from lvo.network.service import destinations_of, read_surroundings

    surroundings = read_surroundings(service.site, service.transfer)
    return lambda report: destinations_of(report, surroundings, ClinicalFacts(), now=datetime.now().astimezone())
