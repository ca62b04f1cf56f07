"""Results to a PACS, a DICOMweb server or a folder; notices by webhook, e-mail, HL7 and FHIR; an outbox that loses nothing.

A program that has a result calls `read_parcel` and `hand_over`; one that has none calls `tell` with a `Notice`. `run_deliverer`
in any process, or `deliver_due` now and then, sends what is due.
"""

from lvo.delivery.deliver import Tally, deliver_due, hand_over, run_deliverer, tell
from lvo.delivery.outbox import Outbox
from lvo.delivery.records import Delivery, Notice, Parcel, State, notice_of, read_parcel
from lvo.delivery.settings import DeliverySettings, load_delivery

__all__ = [
    "Delivery", "DeliverySettings", "Notice", "Outbox", "Parcel", "State", "Tally", "deliver_due", "hand_over", "load_delivery",
    "notice_of", "read_parcel", "run_deliverer", "tell",
]  # fmt: skip
