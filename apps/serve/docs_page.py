"""/docs: the OpenAPI description as a page without scripts, for machines that reach nothing outside."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import HTMLResponse, Response

router = APIRouter(include_in_schema=False)

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font:.9em ui-monospace,monospace}pre{overflow:auto;padding:.75rem;border:1px solid #8884}"
    "table{border-collapse:collapse;width:100%}td{border-top:1px solid #8884;padding:.3rem .6rem .3rem 0;"
    "vertical-align:top}:root{color-scheme:light dark}"
)
_EXAMPLE = """curl {address}/v1/chat/completions -H 'Content-Type: application/json' -d '{{
  "model": "fledgling", "stream": true, "messages": [{{"role": "user", "content": "Tell me of a small owl."}}]}}'"""


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Every path, what it takes and what it answers; the whole is at /openapi.json."""
    address = str(request.base_url).rstrip("/")
    page = "".join(_page(request.app.openapi(), address))
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
    return HTMLResponse(page, headers=policy)


def describe(app: FastAPI) -> None:
    """Has the description tell what is answered: a request that does not fit is a 400, never FastAPI's 422."""
    made = app.openapi

    def without_422() -> dict[str, Any]:
        described = made()
        for path in described["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            described.get("components", {}).get("schemas", {}).pop(name, None)
        return described

    app.openapi = without_422  # type: ignore[method-assign]


def _page(described: Mapping[str, Any], address: str) -> Iterator[str]:
    info, schemas = described["info"], described["components"]["schemas"]
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
    yield f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}</p>"
    yield f'<pre>{escape(_EXAMPLE.format(address=address))}</pre><p><a href="/openapi.json">/openapi.json</a></p>'
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['description'])}</p>"
            yield from _fields(operation, schemas)
            yield "<p>Answers: " + ", ".join(map(escape, operation["responses"])) + ".</p>"


def _fields(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    """The fields of the body, the required ones marked."""
    content = operation.get("requestBody", {}).get("content", {})
    name = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    if name not in schemas:
        return
    required = schemas[name].get("required", [])
    yield "<table>"
    for field, schema in schemas[name]["properties"].items():
        must = " (required)" if field in required else ""
        yield f"<tr><td><code>{escape(field)}</code>{must}<td>{escape(_kind(schema))}"
    yield "</table>"


def _kind(schema: Mapping[str, Any]) -> str:
    """What a field may be, in words."""
    if "anyOf" in schema:
        return " or ".join(kind for part in schema["anyOf"] if (kind := _kind(part)) != "null")
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    kind = str(schema.get("type", "value"))
    if "items" in schema:
        kind = f"list of {_kind(schema['items'])}"
    if allowed := schema.get("enum", [schema["const"]] if "const" in schema else []):
        kind = " | ".join(map(str, allowed))
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = [f"{word} {schema[key]}" for key, word in words.items() if key in schema]
    return ", ".join([kind, *limits])
