"""The judge behind an endpoint, asked of this server."""

from pathlib import Path

import pytest

from tests.apps.serve.running import running, write_model
from tests.tasks.judging.endpoint.small import RUBRIC, judge, worth

KEY = "a-key-that-the-judge-has"


def test_the_endpoint_judge_runs_against_this_server(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.conftest import ROOT

    (workspace / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.setenv("JUDGE_KEY", KEY)
    model = write_model(tmp_path / "judge", context=4096)
    with (
        running(str(model), keys=(KEY,), slots=4) as made,
        judge(f"{made.address}/v1", model="fledgling", max_tokens=8, repairs=0) as asked,
    ):
        records = asked.score([worth(4), worth(2)], RUBRIC)
        figures = made.service.metrics.text().decode()
    assert [record.status for record in records] == ["parse_error"] * 2  # a model that was never trained
    assert 'fledgling_requests_total{ended="length",kind="chat",share="champion",version="fledgling/judge"}' in figures
