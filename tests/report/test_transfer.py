"""Centres on the page and in result.json: off unless configured, averages called averages, silence explained."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jsonschema
import pytest
from PIL import Image

from lvo.core.transfer import Destination, Opening, Price, Transfer
from lvo.report.html import render_html
from lvo.report.result import result_document
from lvo.report.transfer import transfer_rows

NOW = datetime(2026, 1, 14, 22, 0, tzinfo=UTC)
PRICE = Price(348.8, 0.265, 0.326, 0.389, 0.0577, 0.0062, 0.0056)


def one_pixel() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")
    return buffer.getvalue()


def destination(name: str, opening: Opening, *, hours: float = 2.0, **changes) -> Destination:
    arrival = NOW + timedelta(hours=hours)
    opens = NOW + timedelta(hours=10) if opening is Opening.CLOSED else None
    given = {"price": PRICE, "no_price": "", **changes}
    return Destination(name[:2].upper(), name, opening, 78.8, arrival, arrival + timedelta(hours=1), opens, **given)


@pytest.fixture
def transfer() -> Transfer:
    rows = (
        destination("Alpha", Opening.OPEN),
        destination("Beta", Opening.UNKNOWN, hours=1.5, price=None, no_price="puncture too late", doubts=("90 min there",)),
        destination("Gamma", Opening.CLOSED, hours=1.0),
    )
    return Transfer("NR47UY", "Norwich", NOW, rows, ("Averages, never a forecast for one patient.",))


def test_rows_say_when_where_and_what_it_is_worth(transfer):
    alpha, beta, gamma = transfer_rows(transfer)
    assert alpha.cells == ("Alpha", "open", "79 min", "Thu 00:00", "Thu 01:00", "349 min", "26 %, 33 to 39 %", "0.6 of 100")
    assert beta.cells[1:4] == ("hours unknown", "79 min", "23:30")
    assert beta.cells[5:] == ("—", "—", "—")
    assert beta.notes == ("puncture too late", "90 min there")
    assert gamma.cells[1] == "closed, opens Thu 15 Jan 08:00"
    assert len(transfer_rows(transfer, most=2)) == 2


def test_a_reason_that_holds_for_all_is_not_repeated(transfer):
    silent = tuple(replace(row, price=None, no_price="the onset was not seen") for row in transfer.destinations)
    assert [row.notes for row in transfer_rows(replace(transfer, destinations=silent))] == [(), ("90 min there",), ()]


def test_the_page_and_the_document_hold_them_only_when_configured(report_phantom, transfer):
    plain = report_phantom.report()
    for report, shown in ((plain, False), (replace(plain, transfer=transfer), True)):
        document = result_document(report, outputs=[], location_sop_instance_uid=None)
        html = render_html(report, document, dict.fromkeys(("summary", "perfusion", "curves"), one_pixel()))
        assert ("Thrombectomy centres from Norwich" in html) is shown
        assert ("never a forecast for one patient" in html) is shown
        assert (document["transfer"] is not None) is shown
    assert document["transfer"]["destinations"][0]["price"]["independent_with"] == 0.326
    assert document["transfer"]["now"] == "2026-01-14T22:00:00Z"


def test_a_price_beyond_eight_hours_cannot_be_written(report_phantom, transfer):
    """The schema itself keeps the model's late "harm" out of every result."""
    late = replace(transfer.destinations[0], price=replace(PRICE, onset_to_puncture_min=480.0))
    report = replace(report_phantom.report(), transfer=replace(transfer, destinations=(late,)))
    with pytest.raises(jsonschema.ValidationError):
        result_document(report, outputs=[], location_sop_instance_uid=None)
