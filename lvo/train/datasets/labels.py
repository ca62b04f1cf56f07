"""What the labels of other people are called here: names of arteries to the classes of our networks, and their side.

Names are spelled as TopCoW and TopBrain spell them ("R-ICA", "L-P1P2", "3rd-A2", "Acom"); adapters of data sets with other
spellings translate.
"""

import re
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.synth.render import UNSURE_CLASS
from lvo.train.tubes import ANY_ARTERY

__all__ = ["TOPCOW_NAMES", "class_of", "side_of", "to_classes"]

TOPCOW_NAMES: Mapping[int, str] = {
    1: "BA", 2: "R-PCA", 3: "L-PCA", 4: "R-ICA", 5: "R-MCA", 6: "L-ICA", 7: "L-MCA", 8: "R-Pcom", 9: "L-Pcom", 10: "Acom",
    11: "R-ACA", 12: "L-ACA", 15: "3rd-A2",
}  # fmt: skip
"""Codes of the circle of Willis in TopCoW and, made by its networks, in ISLES 2024; 13 and 14 are not used.
Source: the challenge's evaluation code."""

_TREES: tuple[tuple[str, str], ...] = (
    (r"BA|VA|SCA|AICA|PICA", "VB"),
    (r"PCA|PCOM|P\d\w*", "PCA"),  # Pcom is drawn as part of the posterior tree in `lvo.core.anatomy`
    (r"ICA|OA|ACHA|C\d\w*|ICA[-_ ]?\w*", "ICA"),
    (r"MCA|M\d\w*", "MCA"),
    (r"ACA|ACOM|A\d\w*", "ACA"),
    (r"SSS|ISS|STS|TS|SIGS|IJV|VOG|ICVS?|BVR|.*(VEIN|SINUS|VENOUS|GALEN).*", "vein"),
    (r"CLOT|LVO|THROMBUS|OCCLUSION", "clot"),
)
_PLAIN_ARTERY = re.compile(r"ARTER(Y|IES|IAL)|VESSELS?|COW|CIRCLE OF WILLIS|OTHER[- ]POSTERIOR.*", re.IGNORECASE)
_SIDE = re.compile(r"^(?P<side>R|L|RIGHT|LEFT)[-_ ]+", re.IGNORECASE)
_THIRD = re.compile(r"^3RD[-_ ]+", re.IGNORECASE)


def class_of(name: str) -> int:
    """Code of a named label among `VESSEL_CLASSES`; `ANY_ARTERY` for arteries of no tree, `UNSURE_CLASS` for all else.

    Arteries outside the skull (superficial temporal, maxillary, meningeal) are unsure: ours are intracranial only.
    """
    if name.lower() == "background":
        return 0
    bare = _THIRD.sub("", _SIDE.sub("", name.strip()))
    for pattern, tree in _TREES:
        if re.fullmatch(pattern, bare, re.IGNORECASE):
            return VESSEL_CLASSES.index(tree)
    return ANY_ARTERY if _PLAIN_ARTERY.fullmatch(bare) else UNSURE_CLASS


def side_of(name: str) -> Literal["left", "right", ""]:
    """Patient's side that a label's name speaks of, empty for none."""
    match = _SIDE.match(name.strip())
    if match is None:
        return ""
    return "right" if match["side"].upper().startswith("R") else "left"


def to_classes(labels: NDArray[np.uint16], names: Mapping[int, str]) -> NDArray[np.uint8]:
    """Turn label codes into classes; codes without a name are unsure.

    Args:
        labels: (K, J, I) codes of a data set, 0 for none.
        names: of the codes.
    """
    table = np.full(int(np.iinfo(np.uint16).max) + 1, UNSURE_CLASS, dtype=np.uint8)
    table[0] = 0
    for code, name in names.items():
        table[code] = class_of(name)
    return np.asarray(table[labels], dtype=np.uint8)
