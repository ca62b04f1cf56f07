"""Whatever is sent to a route, the answer is no server error, and a refusal says what is wrong."""

import json

import pytest
from hypothesis import HealthCheck, given, settings

from lvo.web import context
from lvo.web.settings import WebSettings

schemathesis = pytest.importorskip("schemathesis")

N_EXAMPLES = 40
"""Per route."""


@pytest.mark.long
def test_every_answer_is_a_result_or_a_clear_refusal(built, tmp_path, serving, monkeypatch):
    monkeypatch.setattr(context, "REQUESTS_PER_MIN", 1_000_000)
    tried = set()
    with serving.running(built, tmp_path / "state", WebSettings()) as server:
        with server.client() as client:
            token = {"X-CSRF-Token": client.get("/api/session").json()["csrf"]}
        schema = schemathesis.openapi.from_url(f"{server.url}/api/openapi.json").exclude(path="/api/events")  # it never ends

        def check(case):
            for headers in ({}, token):
                answer = case.call(headers=headers)
                assert answer.status_code < 500, (case.formatted_path, answer.status_code, answer.text)
                if answer.status_code >= 400:
                    assert json.loads(answer.text)["detail"], "a refusal says why"

        for found in schema.get_all_operations():
            operation = found.ok()
            tried.add(f"{operation.method.upper()} {operation.path}")
            limits = settings(max_examples=N_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
            limits(given(case=operation.as_strategy())(check))()
    assert "POST /api/studies/{key}/opinion" in tried
    assert len(tried) >= 9
