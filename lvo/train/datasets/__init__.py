"""Public and local data sets: one small adapter per layout, one check and one index for all. Needs no torch."""

from collections.abc import Mapping

from lvo.errors import UsageError
from lvo.train.datasets.cq500 import CQ500
from lvo.train.datasets.isles18 import ISLES18
from lvo.train.datasets.isles24 import ISLES24
from lvo.train.datasets.plain import PLAIN
from lvo.train.datasets.record import DataSet
from lvo.train.datasets.rsna import RSNA
from lvo.train.datasets.topbrain import TOPBRAIN
from lvo.train.datasets.topcow import TOPCOW
from lvo.train.datasets.unitobrain import UNITOBRAIN

__all__ = ["DATA_SETS", "data_set"]

DATA_SETS: Mapping[str, DataSet] = {
    one.name: one for one in (ISLES24, ISLES18, TOPCOW, TOPBRAIN, RSNA, CQ500, UNITOBRAIN, PLAIN)
}
"""The adapters by name."""


def data_set(name: str) -> DataSet:
    """The adapter of that name, whatever its letters' case.

    Raises:
        UsageError: there is none.
    """
    for known, one in DATA_SETS.items():
        if known.lower() == name.lower():
            return one
    msg = f"there is no data set {name!r}; known: {', '.join(DATA_SETS)}"
    raise UsageError(msg)
