"""The cases of the call are measured in processes that end when the command is ended."""

import operator
from multiprocessing import active_children

import pytest

from lvo.train import call


def test_an_interrupted_measurement_ends_its_processes_at_once(monkeypatch):
    """The second case would take days; progress is told for the first."""
    monkeypatch.setattr(call, "_measure_case", operator.pow)
    told = []

    def interrupt(text):
        told.append(text)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call.measure_cases(7, [1, 10**9, 10**9], workers=1, progress=interrupt)
    assert told == ["1 of 3 heads measured"]
    assert active_children() == []
