"""The server against its own OpenAPI: whatever schemathesis makes of it, the answer is one that is described."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.apps.serve.running import Running

EXAMPLES = 20  # of each path and mode
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fits", "does not fit"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_whatever_is_sent_the_answer_is_one_that_is_described(server: Running, path: str, mode: GenerationMode) -> None:
    operation = schemathesis.openapi.from_dict(server.http.get("/openapi.json").json())[path]["POST"]

    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=HealthCheck)
    @given(case=operation.as_strategy(mode))
    def send(case: Any) -> None:
        if isinstance(case.body, dict) and mode is GenerationMode.POSITIVE:
            case.body["model"] = "fledgling"  # or nothing but 404 would come
        case.call_and_validate(base_url=server.address, checks=CHECKS)

    send()
    server.idle()
    assert server.ask(max_tokens=1).status_code == 200


def test_the_docs_ask_nothing_of_the_outside(server: Running) -> None:
    page = server.http.get("/docs")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<code>POST /v1/chat/completions</code>" in page.text
    assert "<code>repetition_penalty</code>" in page.text
    assert "<script" not in page.text
    described = server.http.get("/openapi.json").json()
    assert "422" not in described["paths"]["/v1/completions"]["post"]["responses"]
