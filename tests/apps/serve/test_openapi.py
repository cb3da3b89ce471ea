"""The server against its own OpenAPI: whatever schemathesis makes of it, the answer is one that is described."""

from collections.abc import Iterator
from pathlib import Path
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

from tasks.reviews.database import open_database
from tests.apps.serve.running import Running, running

WAIT_S = 60  # for machines that do something else too
EXAMPLES = 20  # of each path and mode
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def server(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of these tests' own: what is voted on is kept."""
    with pytest.MonkeyPatch.context() as patch:
        database = tmp_path_factory.mktemp("reviews") / "reviews.db"
        patch.setenv("FLEDGLING_REVIEW_DATABASE", f"sqlite:///{database}")
        open_database().close()  # its tables are made before anybody waits for them
        with running(str(model_folder)) as made:
            made.service.record.prepare()  # or the first vote waits for what the server loads beside it
            yield made


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fits", "does not fit"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/feedback/vote", "/feedback/review"])
def test_whatever_is_sent_the_answer_is_one_that_is_described(server: Running, path: str, mode: GenerationMode) -> None:
    operation = schemathesis.openapi.from_dict(server.http.get("/openapi.json").json())[path]["POST"]
    replies = [server.ask(max_tokens=4, seed=seed).json()["id"] for seed in (1, 2)]
    # or nothing but 404 would come
    known = {"model": "fledgling"} if path.startswith("/v1/") else {"reply_id": replies[0], "other": replies[1]}

    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=HealthCheck)
    @given(case=operation.as_strategy(mode))
    def send(case: Any) -> None:
        if isinstance(case.body, dict) and mode is GenerationMode.POSITIVE:
            case.body |= {name: value for name, value in known.items() if case.body.get(name) is not None}
        case.call_and_validate(base_url=server.address, checks=CHECKS, timeout=WAIT_S)

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
