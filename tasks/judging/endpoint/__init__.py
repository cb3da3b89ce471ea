"""A judge behind any endpoint that speaks OpenAI's HTTP API."""

from tasks.judging.endpoint.judge import EndpointJudge, is_configured, open_endpoint_judge
from tasks.judging.endpoint.params import EndpointJudgeParams

__all__ = ["EndpointJudge", "EndpointJudgeParams", "is_configured", "open_endpoint_judge"]
