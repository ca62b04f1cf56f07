"""What travels along a study's way beside the images."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lvo.core.report import ModelUse, QualityNote, Report
from lvo.core.study import Study
from lvo.core.volume import Volume
from lvo.cta.call import CallHead
from lvo.dicom.load import LoadedTimeSeries, LoadedVolume
from lvo.dicom.select import Selection
from lvo.infer import Model

__all__ = ["Analysis", "Models", "Progress"]


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """What an analysis needs beside the images: the artery network and the call that was fitted on its maps."""

    arteries: Model
    call: CallHead

    def used(self) -> tuple[ModelUse, ...]:
        """The models, for the report."""
        manifest = self.arteries.manifest
        return (ModelUse(manifest.name, manifest.version, manifest.sha256),)


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """A report, and the source images that its outputs refer to (None for a part that was not loaded)."""

    study: Study
    report: Report
    cta: LoadedVolume | None
    ctp: LoadedTimeSeries | None
    selection: Selection


@dataclass(slots=True)
class Progress:
    """What gathers on the way: seconds per stage, notes on the files, and images for the outputs."""

    timings_s: dict[str, float] = field(default_factory=dict)
    notes: list[QualityNote] = field(default_factory=list)
    volumes: dict[str, Volume] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the time of a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings_s[name] = round(time.perf_counter() - start, 3)
