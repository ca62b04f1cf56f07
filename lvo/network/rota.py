"""Operators a service needs to be open at all hours, and the cases each then does."""

from dataclasses import dataclass

__all__ = ["MIN_CASES", "MIN_OPERATORS", "Rota", "rota"]

MIN_OPERATORS, GOOD_OPERATORS = 6, 8
"""Operators of a centre that is open at all hours: at most one night in six on call, ideally one in eight (position statement
on interventional cardiologists, 2022)."""

MIN_CASES = 30.0
"""Cases that an operator should do in a year (same source)."""


@dataclass(frozen=True, slots=True)
class Rota:
    """Operators at six and at eight per centre, and cases per operator and year at eight and at six."""

    operators: tuple[int, int]
    cases: tuple[float, float]


def rota(centres: int, thrombectomies: float) -> Rota:
    """Operators and cases of a number of centres.

    Args:
        centres: open at all hours.
        thrombectomies: per year, in all of them.

    Raises:
        ValueError: there is no centre.
    """
    if centres < 1:
        msg = f"a rota needs at least one centre, got {centres}"
        raise ValueError(msg)
    few, many = centres * MIN_OPERATORS, centres * GOOD_OPERATORS
    return Rota((few, many), (thrombectomies / many, thrombectomies / few))
