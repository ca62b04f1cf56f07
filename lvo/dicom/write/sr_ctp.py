"""What the CT perfusion shows, as measurement groups: volumes with their segments, or why there are none and what is left."""

import highdicom as hd

from lvo.core.outcome import Assessed
from lvo.core.report import PerfusionResult, Side, TimeToPeakFallback
from lvo.dicom.write import codes
from lvo.dicom.write.sr_items import Context, Group, group, number, segment_group, site

__all__ = ["perfusion_groups"]


def perfusion_groups(context: Context) -> list[Group]:
    """Volumes of core and hypoperfusion, tied to their segments where there are any, and what follows from them."""
    outcome, fallback = context.report.perfusion, context.report.fallback
    if isinstance(outcome, Assessed):
        value = outcome.value
        place = [site(codes.BRAIN, value.side)]
        volumes = ((codes.CORE, value.core_ml), (codes.HYPOPERFUSION, value.hypoperfusion_ml))
        made = [_summary(context, value, place)]
        for tissue, volume_ml in volumes:
            measurements = [number(codes.VOLUME, volume_ml, "mL")]
            made.append(segment_group(context, tissue, finding_sites=place, measurements=measurements))
        return made
    value, reasons = codes.unjudged(outcome)
    state = [hd.sr.QualitativeEvaluation(codes.PERFUSION_STATE, value)]
    made = [group(context, "CT perfusion", codes.HYPOPERFUSION, qualitative_evaluations=state, comments=reasons)]
    return made if fallback is None else made + _late(context, fallback)


def _summary(context: Context, value: PerfusionResult, place: list[hd.sr.FindingSite]) -> Group:
    """Mismatch, ratios and the volume at each band of the thresholds; what is unknown is left out."""
    ratios = ((codes.MISMATCH_RATIO, value.mismatch_ratio), (codes.HIR, value.hir), (codes.CBV_INDEX, value.cbv_index))
    measurements = [number(codes.MISMATCH_VOLUME, value.mismatch_ml, "mL")]
    measurements += [number(name, ratio) for name, ratio in ratios if ratio is not None]
    measurements += [number(codes.band(key), volume_ml, "mL") for key, volume_ml in value.volumes_ml.items()]
    settings = ", ".join(f"{key} = {setting:g}" for key, setting in value.thresholds.items())
    return group(
        context,
        "CT perfusion",
        codes.HYPOPERFUSION,
        comments=(f"Settings: {settings}",),
        finding_sites=place,
        measurements=measurements,
        qualitative_evaluations=[hd.sr.QualitativeEvaluation(codes.PERFUSION_STATE, codes.ASSESSED)],
    )


def _late(context: Context, fallback: TimeToPeakFallback) -> list[Group]:
    """Late tissue by time to peak, together and on each side; never the main result, and it says so."""
    made = [
        segment_group(
            context,
            codes.LATE_TISSUE,
            comments=("Without an arterial curve there is no Tmax: time to peak stands in for it, less exactly.",),
            finding_sites=[site(codes.BRAIN)],
            measurements=[
                number(codes.VOLUME, fallback.left_ml + fallback.right_ml, "mL"),
                number(codes.LATE_THRESHOLD, fallback.threshold_s, "s"),
            ],
        )
    ]
    for side, volume_ml in ((Side.LEFT, fallback.left_ml), (Side.RIGHT, fallback.right_ml)):
        content = {"finding_sites": [site(codes.BRAIN, side)], "measurements": [number(codes.VOLUME, volume_ml, "mL")]}
        made.append(group(context, f"{codes.LATE_TISSUE.meaning}, {side}", codes.LATE_TISSUE, **content))
    return made
