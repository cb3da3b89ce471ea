"""Every route of the model's server and of the review page, taken from their own OpenAPI, asks who is there."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.review.app import create_app
from tasks.judging.rubric import load_rubric
from tasks.reviews.database import open_database
from tasks.reviews.params import ReviewParams
from tasks.stage import load_params
from tests.apps.review.filled import prepared
from tests.apps.serve.running import running, write_model
from tests.conftest import ROOT
from tests.platform.test_locked import METHODS, WRONG, filled

SERVE_OPEN = {"/health", "/ready"}
REVIEW_OPEN = {"/healthz"}
LINK = {"token": "WzEsMF0.forged.forged"}  # what an invite's page sends
KEY = "the-key-of-the-tests"


def routes(described: Any, *, but: set[str]) -> Iterator[tuple[str, str]]:
    """Method and path of what a description holds."""
    assert but <= set(described["paths"])
    for path, item in described["paths"].items():
        if path not in but:
            yield from ((method, path) for method in item if method in METHODS)


@pytest.mark.server
def test_serve(tmp_path: Path) -> None:
    with running(str(write_model(tmp_path / "model")), keys=(KEY,)) as made:
        described = made.http.get("/openapi.json").json()
        asked = list(routes(described, but=SERVE_OPEN))
        assert len(asked) >= 6
        answered = {
            (method, path, made.http.request(method.upper(), filled(path), headers=headers).status_code)
            for method, path in asked
            for headers in ({}, *WRONG)
        }
        assert {status for _, _, status in answered} == {401}, answered
        right = {"Authorization": f"Bearer {KEY}"}
        assert made.http.get("/v1/models", headers=right).status_code == 200
        assert made.http.get("/metrics", headers=right).status_code == 200


def test_review(workspace: Path) -> None:
    page = prepared(workspace)
    params, rubric = load_params(ReviewParams, "review"), load_rubric(ROOT / "rubric.yaml")
    forged = ({}, {"Cookie": f"fledgling-review-{page.settings.port}=WzEsMSwiYSJd.aaaa.bbbb"})

    async def ask() -> set[tuple[str, str, int]]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return {
                (method, path, (await client.request(method.upper(), filled(path), headers=one, data=LINK)).status_code)
                for method, path in asked
                for one in forged
            }

    with open_database(f"sqlite:///{workspace / 'review.db'}") as database:
        app = create_app(page.settings, database, params, rubric)
        asked = list(routes(app.openapi(), but=REVIEW_OPEN))
        assert len(asked) >= 6
        answered = asyncio.run(ask())
    assert {status for _, _, status in answered} <= {401, 403}, answered
