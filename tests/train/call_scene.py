"""Measured cases without a network: healthy hemispheres with a little noise, changed by what is occluded."""

from dataclasses import fields

import numpy as np

from lvo.core.report import Side, Site
from lvo.cta.features import BasilarFeatures, HemisphereFeatures
from lvo.infer import Manifest
from lvo.infer.manifest import SCHEMA, InputContract, OutputContract, TrainingRecord
from lvo.train.call import CallCase

NETWORK = Manifest(
    schema=SCHEMA, name="made-up", version="1", sha256="ab" * 32,
    input=InputContract(
        frame="atlas-aligned kji", channels=("hu",), spacing_mm=0.8, window_hu=(0.0, 1.0), window_kji=(32, 32, 32), multiple=8,
        opset=18,
    ),
    output=OutputContract(channels=("background", "artery")),
    training=TrainingRecord(
        config_sha256="0" * 64, data="none", training_seeds=(1, 2), validation_seeds=(3, 4), steps=0, parameters=0
    ),
    metrics={},
)  # fmt: skip

TELLING = {
    Site.ICA: {"siphon_gap_cm": 1.6, "carotid_vs_other": -1.2, "siphon_clot": 2.0},
    Site.ICA_T: {"trunk_gap_cm": 2.0, "m1_vs_other": -1.5, "insula_vs_other": -0.8},
    Site.M1: {"trunk_gap_cm": 1.4, "m1_vs_other": -1.2, "insula_vs_other": -0.8},
    Site.M2: {"branch_cut_off": 0.9, "weaker_zone_vs_other": -1.2, "m2_clot": 1.5},
}  # fmt: skip
"""What an occlusion changes in the features of its side."""

TELLING_BASILAR = {
    "gap_cm": 1.5,
    "darkness": 0.8,
    "fed_tip_vs_atlas": -1.2,
    "unfed_posterior": 0.8,
    "clot": 1.0,
    "tip_clot": 1.0,
}


def hemisphere(rng, sites=()):
    """A healthy hemisphere with a little noise, changed by what is occluded."""
    values = {field.name: 0.1 * rng.standard_normal() for field in fields(HemisphereFeatures)}
    for site in sites:
        for name, change in TELLING.get(site, {}).items():
            values[name] += change * rng.uniform(0.7, 1.3)
    return HemisphereFeatures(**values)


def case(seed, *stops, seen=True):
    """A scan with occlusions (side, site); the basilar artery may lie outside it."""
    rng = np.random.default_rng(seed)
    left, right = (hemisphere(rng, [site for where, site in stops if where is side]) for side in (Side.LEFT, Side.RIGHT))
    closed = any(site is Site.BA for _, site in stops)
    values = {
        field.name: 0.1 * rng.standard_normal() + closed * TELLING_BASILAR.get(field.name, 0.0)
        for field in fields(BasilarFeatures)
    }
    return CallCase(seed, "plain", left, right, BasilarFeatures(**values) if seen else None, stops)


def drawn(n=160):
    """Half of them occluded, every judged site on either side."""
    lateral = [(side, site) for site in (Site.ICA, Site.ICA_T, Site.M1, Site.M2) for side in (Side.LEFT, Side.RIGHT)]
    places = [*lateral, (Side.MIDLINE, Site.BA), (Side.MIDLINE, Site.BA)]
    return [case(5100 + k, *([places[(k // 2 + k // 20) % len(places)]] if k % 2 else [])) for k in range(n)]
