"""Closed-form kinetics and the asymmetric head of forms.py, and the inputs made from them."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from lvo.config import PerfusionSettings
from lvo.core.report import Curve
from lvo.perfusion import analyze
from lvo.perfusion.arterial import Inputs


def _load():
    spec = importlib.util.spec_from_file_location("lvo_tests_perfusion_forms", Path(__file__).with_name("forms.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


_FORMS = _load()


@pytest.fixture(scope="session")
def forms():
    """The module forms.py."""
    return _FORMS


@pytest.fixture(scope="session")
def curve():
    """Make a `Curve` of times and values."""
    return lambda times_s, hu: Curve(np.asarray(times_s, float), np.asarray(hu, float), (1.0, 2.0, 3.0), 9)


@pytest.fixture(scope="session")
def true_inputs(curve):
    """The true artery as input, so that only the deconvolution is tested."""

    def make(times_s, **bolus):
        artery = curve(times_s, _FORMS.artery(times_s, **bolus))
        return Inputs(artery, artery, 1.0)

    return make


@pytest.fixture(scope="session")
def analysed():
    """Analyse a `Head` made with these changes; every variant once."""
    done = {}

    def run(settings=PerfusionSettings(), **changes):  # noqa: B008 - frozen
        key = repr((settings, sorted(changes.items(), key=lambda item: item[0])))
        if key not in done:
            done[key] = analyze(*_FORMS.Head(**changes).series(), settings)
        return done[key]

    return run
