"""The chapters of the report that need more than a line: targets, operating point, stress card, ablations, failures."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lvo.core.report import Site
from lvo.evaluate.document import Picture, Section, Table, share_words
from lvo.evaluate.metrics import predictive_values, proportion
from lvo.evaluate.pictures import case_words, failure_of, picture_name
from lvo.evaluate.records import AS_IS, Row
from lvo.evaluate.tables import STRATA, Group, group, groups_of, site_confusion, site_words, standing, stratify
from lvo.evaluate.targets import any_lvo_auc, asymmetry_auc, estimate, of_sites, targets
from lvo.evaluate.variants import WITHOUT_MIRROR

__all__ = ["ablation_section", "card_sections", "failure_section", "operating_section", "target_section"]

_PREVALENCES = (0.05, 0.1, 0.3)
"""Share of occlusions among angiograms: a general stream, a stroke stream, a thrombectomy centre (5 %: 14 + 6 of 342 in a
three-centre series, see the sources in docs/howto/evaluate.md)."""


def target_section(rows: Sequence[Row]) -> Section:
    """The figures to reach."""
    lines = [
        (one.name, one.wanted, estimate(one.found), str(one.found.n),
         {True: "met", False: "MISSED", None: "not measured"}[one.met], one.remark)
        for one in targets(rows)
    ]  # fmt: skip
    return Section("Figures to reach", (), (Table(("what", "target", "found [95 %]", "n", "verdict", "remark"), lines),))


def operating_section(as_is: Sequence[Row], picture: Picture) -> Section:
    """What the fixed threshold gives, and what it would mean in a hospital."""
    everything = group("all", as_is)
    plain = group("plain", [row for row in as_is if row.facts.get("family") == "plain"])
    spared = {name: proportion(one.false_alarms.n - (one.false_alarms.hits or 0), one.false_alarms.n) for name, one in (
        ("all", everything), ("plain", plain),
    )}  # fmt: skip
    lines = [
        ("any covered occlusion: suspected", share_words(everything.sensitivity)),
        ("suspected or indeterminate", share_words(everything.noticed)),
        ("healthy: not called", share_words(spared["all"])),
        ("healthy, no hard family: not called", share_words(spared["plain"])),
        ("healthy: indeterminate", share_words(everything.unsure)),
        ("AUC, those judged", estimate(any_lvo_auc(as_is, judged_only=True))),
    ]
    values = []
    for prevalence in _PREVALENCES:
        ppv, npv = predictive_values(everything.sensitivity.value, spared["all"].value, prevalence)
        values.append((f"{prevalence:.0%}", f"{ppv:.2f}", f"{npv:.3f}"))
    tables = (Table(("at the fixed threshold", "found"), lines), Table(("occlusions among angiograms", "PPV", "NPV"), values))
    words = ("Predictive values carry over to patients only if sensitivity and specificity do, which nobody has shown.",)
    return Section("Operating point", words, tables, (picture,))


def card_sections(as_is: Sequence[Row], picture: Picture) -> tuple[Section, ...]:
    """The stress card: a picture and its tables; what is not covered; true against called artery."""
    covered = [row for row in as_is if row.standing != "aside"]
    tables = tuple(_group_table(name, stratify(covered, stratum)) for name, stratum in STRATA.items())
    aside = groups_of(standing(as_is, "aside"), STRATA["site"])
    others = [
        (name, str(len(rows)), str(sum(row.suspected for row in rows)), str(sum(row.indeterminate for row in rows)),
         str(sum(row.found is None for row in rows)))
        for name, rows in aside.items()
    ]  # fmt: skip
    words = ("Neither positive nor negative in any figure above: a call there may still help, but nothing is promised.",)
    confusion_words = ("A tandem or bilateral occlusion is listed under its first artery.",)
    return (
        Section("Stress card", (), tables, (picture,)),
        Section(
            "Arteries that are not covered",
            words,
            (Table(("occlusion", "n", "suspected", "indeterminate", "not judged"), others),),
        ),
        Section("True and called artery", confusion_words, (Table(*site_confusion(as_is)),)),
    )


def _group_table(name: str, groups: Sequence[Group]) -> Table:
    header = (
        name, "sensitivity", "or indeterminate", "side", "site", "<= 10 mm", "not judged", "false alarms", "indeterminate",
        "not judged", "Dice", "clDice",
    )  # fmt: skip
    lines = [
        (one.name, share_words(one.sensitivity), _hits(one.noticed.hits, one.noticed.n), _hits(one.side.hits, one.side.n),
         _hits(one.site.hits, one.site.n), _hits(one.near.hits, one.near.n), str(one.unjudged_positives),
         share_words(one.false_alarms), _hits(one.unsure.hits, one.unsure.n), str(one.unjudged_negatives),
         f"{one.artery_dice.value:.2f}", f"{one.center_line_dice.value:.2f}")
        for one in groups
    ]  # fmt: skip
    return Table(header, lines)


def _hits(hits: int | None, n: int) -> str:
    return f"{hits}/{n}" if n else "-"


def ablation_section(rows: Sequence[Row]) -> Section:
    """What each part is worth, each line on the cases that have it."""
    as_is = [row for row in rows if row.variant == AS_IS]
    without = [row for row in rows if row.variant == WITHOUT_MIRROR]
    lines = [("as shipped", *_auc_cells(as_is))]
    if without:
        same = {row.case for row in without}
        lines += [
            ("as shipped, on the cases of the next line", *_auc_cells([row for row in as_is if row.case in same])),
            (WITHOUT_MIRROR, *_auc_cells(without)),
        ]
    measured = [row for row in as_is if "asymmetry" in row.scores]
    sites = (None, (Site.ICA_T, Site.M1), (Site.M2,))
    areas = [estimate(asymmetry_auc(measured, one)) for one in sites]
    lines.append(("threshold and asymmetry, no network", *areas, "-", "-"))
    header = ("", "AUC any LVO", "AUC ICA-T and M1", "AUC M2", "sensitivity", "false alarms")
    return Section("What each part is worth", (), (Table(header, lines),))


def _auc_cells(rows: Sequence[Row]) -> tuple[str, ...]:
    parts = (standing(rows, "positive"), of_sites(rows, (Site.ICA_T, Site.M1)), of_sites(rows, (Site.M2,)))
    areas = (any_lvo_auc([*part, *standing(rows, "negative")]) for part in parts)
    all_of_them = group("all", rows)
    return (*map(estimate, areas), share_words(all_of_them.sensitivity), share_words(all_of_them.false_alarms))


def failure_section(as_is: Sequence[Row], pictures: Path, sheet: Picture | None) -> Section:
    """Every failure by name, and why cases were not judged."""
    failed = [(failure_of(row), row) for row in as_is]
    lines = [
        (*case_words(row), kind, f"{pictures.as_posix()}/{picture_name(row)}")
        for kind, row in sorted(
            ((kind, row) for kind, row in failed if kind is not None), key=lambda pair: (pair[0], pair[1].case)
        )
    ]
    reasons = Counter(row.reasons[0] for row in as_is if row.found is None and row.reasons)
    counted = [(reason, str(count)) for reason, count in reasons.most_common()]
    kinds = Counter(kind for kind, _ in failed if kind is not None)
    words: tuple[str, ...] = (", ".join(f"{kind}: {count}" for kind, count in kinds.items()) or "No failure.",)
    aside = sum(site_words(row) is not None for row in as_is if row.standing == "aside")
    words = (*words, f"The {aside} cases of arteries that are not covered are not listed.") if aside else words
    tables = (Table(("why not judged", "cases"), counted), Table(("case", "result", "kind", "picture"), lines))
    return Section("Failures", words, tables, (sheet,) if sheet else ())
