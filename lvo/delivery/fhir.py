"""A notice as a FHIR R4 DiagnosticReport, put under an id that follows from the study.

The report replaces itself: sent twice it is there once, and a newer notice takes the place of the older one. Its observations
are contained in it, so that it arrives whole or not at all. Built and checked with the R4B models of fhir.resources: what is
used here of DiagnosticReport and Observation is the same in R4 and R4B. Our own codes have no system; words stand beside each.
"""

import hashlib

from fhir.resources.R4B.diagnosticreport import DiagnosticReport

from lvo.delivery.deliver import Job
from lvo.delivery.message import Identity, identity_of, text_lines
from lvo.delivery.records import Notice
from lvo.delivery.settings import FhirNotification
from lvo.delivery.web import answered, connection_errors, session

__all__ = ["diagnostic_report", "report_id", "send_fhir"]

_STATUS = {"failed": "cancelled", "overdue": "registered"}
"""Of a report without result; every other one is preliminary, because no person has verified it, and partial where a later
version of it is late or has failed: what was found stays in the report, but for an all-clear, which not all images have."""

_UCUM_ML = {"unit": "mL", "system": "http://unitsofmeasure.org", "code": "mL"}


def send_fhir(target: FhirNotification, job: Job) -> str:
    """Put the report of a study on a FHIR server.

    Returns:
        No remark.

    Raises:
        DeliveryError: the server cannot be reached or may take it later; RefusedError: it says the report is wrong.
    """
    notice = job.delivery.notice
    if notice is None:
        return ""
    report = diagnostic_report(notice, identity=identity_of(notice.source, wanted=target.identity), job=job)
    url = f"{target.url.rstrip('/')}/DiagnosticReport/{report.id}"
    headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
    with connection_errors(url), session(target.tls, token_file=target.token_file) as http:
        body = report.model_dump_json().encode()
        response = http.put(url, data=body, headers=headers, timeout=target.timeout_s, allow_redirects=False)
    answered(response, url)
    return ""


def report_id(study_instance_uid: str) -> str:
    """Id of a study's report: letters, digits and dashes, at most 64."""
    return "lvo-" + hashlib.sha256(study_instance_uid.encode()).hexdigest()[:40]


def diagnostic_report(notice: Notice, *, identity: Identity | None, job: Job) -> DiagnosticReport:
    """The report, checked against the model.

    Args:
        notice: what to tell.
        identity: of the patient, for `subject`; the report has none without.
        job: knows the hospital, for `performer`, and the viewer, for `presentedForm`.
    """
    study = {"system": "urn:dicom:uid", "value": f"urn:oid:{notice.study_instance_uid}"}
    observations, link = _observations(notice), job.link(notice)
    report: dict[str, object] = {
        "id": report_id(notice.study_instance_uid),
        "status": "preliminary" if notice.event not in _STATUS else "partial" if notice.standing else _STATUS[notice.event],
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}],
        "code": {"text": "CT angiogram: large-vessel occlusion, decision support for research use"},
        "issued": notice.at.isoformat(),
        "imagingStudy": [{"type": "ImagingStudy", "identifier": study}],
        "contained": observations,
        "result": [{"reference": f"#{one['id']}"} for one in observations],
        "conclusion": "\n".join(text_lines(notice, link=link)),
    }
    if job.site:
        report["performer"] = [{"type": "Organization", "display": job.site}]
    if link:
        report["presentedForm"] = [{"contentType": "text/html", "url": link, "title": "viewer"}]
    if identity is not None:
        family, given, *_ = (*identity.name.split("^"), "", "")
        number = {"value": identity.patient_id, **({"assigner": {"display": identity.issuer}} if identity.issuer else {})}
        name = " ".join(part for part in (given, family) if part)
        report["subject"] = {"type": "Patient", "identifier": number, **({"display": name} if name else {})}
        if identity.accession:
            report["basedOn"] = [{"type": "ServiceRequest", "identifier": {"value": identity.accession}}]
    return DiagnosticReport.model_validate(report)


def _observations(notice: Notice) -> list[dict[str, object]]:
    """The answer on an occlusion, and numbers."""
    said = notice.event if notice.standing in {None, "not_detected"} else notice.standing  # no all-clear without all images
    words = said.replace("_", " ")
    call = _observation("call", "large-vessel occlusion", notice)
    if said in {"suspected", "indeterminate", "not_detected"}:
        place = " ".join(word for word in (notice.side, notice.site) if word)
        text = f"{words}, {place}" if place else words
        call["valueCodeableConcept"] = {"coding": [{"code": said, "display": words}], "text": text}
    else:
        call["dataAbsentReason"] = {"text": "; ".join((words, *notice.reasons))}
    made = [call]
    numbers = {
        "probability": ("probability of a large-vessel occlusion", notice.probability, {}),
        "core": ("ischaemic core", notice.core_ml, _UCUM_ML),
        "hypoperfusion": ("hypoperfused tissue", notice.hypoperfusion_ml, _UCUM_ML),
        "mismatch": ("mismatch", notice.mismatch_ml, _UCUM_ML),
    }
    for code, (title, value, unit) in numbers.items():
        if value is not None:
            made.append(_observation(code, title, notice) | {"valueQuantity": {"value": float(f"{value:.6g}"), **unit}})
    return made


def _observation(code: str, title: str, notice: Notice) -> dict[str, object]:
    return {
        "resourceType": "Observation",
        "id": code,
        "status": _STATUS.get(notice.standing or notice.event, "preliminary"),
        "code": {"coding": [{"code": code}], "text": title},
    }
