"""Every error as OpenAI's API tells it: a status, and {"error": {"message", "type", "param", "code"}}."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

AGAIN_AFTER_S = 1
# what pydantic names beside the field: the arms of a union
_ARMS = ("str", "list", "body", "float", "int", "constrained-str")


class ErrorText(BaseModel):
    """What went wrong. param: the field that is meant."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """An error's whole answer."""

    error: ErrorText


class ApiError(Exception):
    """An error that is told to the client."""

    def __init__(
        self, status: int, message: str, *, kind: str = "invalid_request_error", param: str | None = None,
        code: str | None = None, headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.kind, self.param, self.code = status, kind, param, code
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """As JSON."""
        told = ErrorText(message=str(self), type=self.kind, param=self.param, code=self.code)
        return ErrorBody(error=told).model_dump()

    @property
    def response(self) -> JSONResponse:
        return JSONResponse(self.body, status_code=self.status, headers=self.headers)


def too_busy() -> ApiError:
    """As many wait as may."""
    return ApiError(
        429, "too many requests wait already; come again in a moment", kind="rate_limit_error",
        code="rate_limit_exceeded", headers={"Retry-After": str(AGAIN_AFTER_S)},
    )  # fmt: skip


def not_ready() -> ApiError:
    """Nothing is loaded yet."""
    return ApiError(
        503, "the model is being loaded", kind="server_error", code="loading",
        headers={"Retry-After": str(AGAIN_AFTER_S)},
    )  # fmt: skip


def too_slow(limit_s: float) -> ApiError:
    """The reply was not made in time."""
    return ApiError(504, f"the reply was not made within {limit_s:g} s", kind="timeout_error", code="timeout")


def failed(line: str) -> ApiError:
    """The engine could not."""
    return ApiError(500, f"the engine failed: {line}", kind="server_error", code="engine_failed")


def say_errors(app: FastAPI) -> None:
    """Has the application tell all errors in this form."""

    def told(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)  # registered for it alone
        return error.response

    def mistaken(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _invalid(_first(error.errors())).response

    def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = f"{request.method} {request.url.path}: {error.detail}"
        return ApiError(error.status_code, message, headers=error.headers).response

    def broken(request: Request, error: Exception) -> Response:
        return ApiError(500, "the server failed; its log says why", kind="server_error").response

    app.add_exception_handler(ApiError, told)
    app.add_exception_handler(RequestValidationError, mistaken)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, broken)


def _first(mistakes: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The first; of a field that may be a text or a list, what is wrong with the list that was sent."""
    same = [one for one in mistakes if _named(one["loc"]) == _named(mistakes[0]["loc"])]
    return next((one for one in same if one["type"] != "string_type"), mistakes[0])


def _invalid(mistake: Mapping[str, Any]) -> ApiError:
    """The first mistake of a request."""
    param = _named(mistake["loc"]) or None
    kind = str(mistake["type"])
    if kind == "json_invalid":
        return ApiError(400, f"the body is no JSON: {mistake.get('ctx', {}).get('error', '')}", code="invalid_json")
    if param is None and kind in ("model_attributes_type", "missing"):
        return ApiError(400, "the body is no JSON object; send one as Content-Type: application/json")
    if kind == "extra_forbidden":
        return ApiError(400, f"'{param}' is not supported; /docs lists what is", param=param, code="unsupported")
    if kind == "missing":
        return ApiError(400, f"'{param}' is missing", param=param, code="missing")
    message = str(mistake["msg"]).removeprefix("Value error, ")
    return ApiError(400, f"'{param or 'body'}': {message}", param=param, code="invalid_value")


def _named(location: Sequence[Any]) -> str:
    parts = [str(part) for part in location]
    return ".".join(part for part in parts if part.partition("[")[0] not in _ARMS and "(" not in part)
