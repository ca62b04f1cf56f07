"""Figures for Prometheus, read from the store when they are asked for, so that no restart loses them; no identity in them."""

import sqlite3
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from lvo.delivery import Outbox
from lvo.durable import free_of
from lvo.node.database import connect_read_only, read_clock
from lvo.node.heartbeat import ages_s, silent
from lvo.node.settings import NodeSettings
from lvo.node.view import View

__all__ = ["render_metrics"]

_BUCKETS_S = (5.0, 10.0, 20.0, 30.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1800.0)
_STAGES = {
    "wait": ("queued_at", "started_at"),
    "analysis": ("started_at", "analysed_at"),
    "delivery": ("analysed_at", "ended_at"),
}
_COUNTERS = {
    "images": ("images that arrived", "kind"),
    "images_refused": ("images that were refused", "why"),
    "associations_refused": ("associations that were refused", "why"),
    "results": ("results by call on the angiogram: the positivity rate", "call"),
    "outcomes": ("ends of results", "outcome"),
    "retries": ("attempts that failed and were repeated", "stage"),
    "alarms": ("alarms", "kind"),
}


def render_metrics(settings: NodeSettings) -> bytes:
    """All metrics as text.

    Raises:
        OutputError: the store cannot be read.
    """
    registry = CollectorRegistry()
    db = connect_read_only(settings.database_path)
    try:
        registry.register(_Store(db, settings))
        return generate_latest(registry)
    finally:
        db.close()


class _Store(Collector):
    """What the store says now."""

    def __init__(self, db: sqlite3.Connection, settings: NodeSettings) -> None:
        self._db, self._settings = db, settings

    def collect(self) -> Iterator[Metric]:
        yield from self._counters()
        yield from self._latencies()
        yield from self._gauges()

    def _counters(self) -> Iterator[Metric]:
        for name, (help_text, label) in _COUNTERS.items():
            family = CounterMetricFamily(f"lvo_node_{name}", help_text, labels=[label])
            for row in self._db.execute("SELECT label, value FROM counters WHERE name = ? ORDER BY label", (name,)):
                family.add_metric([row["label"]], row["value"])
            yield family

    def _latencies(self) -> Iterator[Metric]:
        """Of the versions that the store still knows; retention takes old ones away."""
        family = HistogramMetricFamily("lvo_node_stage_seconds", "seconds per stage of a result", labels=["stage"])
        for stage, (start, end) in _STAGES.items():
            rows = self._db.execute(f"SELECT {end} - {start} AS s FROM jobs WHERE {end} IS NOT NULL AND {start} IS NOT NULL")  # noqa: S608 - names of our own
            seconds = [max(0.0, row["s"]) for row in rows]
            buckets = [(str(limit), float(sum(s <= limit for s in seconds))) for limit in _BUCKETS_S]
            family.add_metric([stage], [*buckets, ("+Inf", float(len(seconds)))], sum(seconds))
        yield family

    def _gauges(self) -> Iterator[Metric]:
        studies = GaugeMetricFamily("lvo_node_studies", "studies in the store by state", labels=["state"])
        for state, n in sorted(View(self._db, self._settings.root).counts().items()):
            studies.add_metric([state], n)
        yield studies
        queued = self._db.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()[0]
        yield GaugeMetricFamily("lvo_node_queue_depth", "results that wait for a worker", value=queued)
        used_percent, left_mb = free_of(self._settings.root)
        yield GaugeMetricFamily("lvo_node_disk_used_percent", "of the disk with the images", value=used_percent)
        yield GaugeMetricFamily("lvo_node_disk_left_bytes", "on the disk with the images", value=left_mb * 1e6)
        beats = GaugeMetricFamily("lvo_node_silent_seconds", "since a process last came round", labels=["process"])
        ages = ages_s(self._db, read_clock(self._db))
        expected = silent(ages, self._settings)  # what an earlier configuration had is silent for ever
        for name, age_s in sorted(ages.items()):
            if name in expected:
                beats.add_metric([name], age_s)
        yield beats
        yield self._outbox()

    def _outbox(self) -> Metric:
        family = GaugeMetricFamily("lvo_node_deliveries", "deliveries by target and state", labels=["target", "state"])
        if self._settings.outbox_path.exists():  # to open it would make it
            with Outbox(self._settings.outbox_path) as outbox:
                for (target, state), n in sorted(outbox.counts().items()):
                    family.add_metric([target, state.value], n)
        return family
