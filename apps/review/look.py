"""The page's templates and static files, and the version that names them."""

import hashlib
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

HERE = Path(__file__).resolve().parent
STATIC = HERE / "static"
TEMPLATES = HERE / "templates"
A_YEAR_S = 31_536_000
SHORT = 160  # characters: a text that is read in the request itself


@cache
def page_version() -> str:
    """The version of this page: part of every answer, and of addresses."""
    return version_of(STATIC, TEMPLATES)


def version_of(*folders: Path) -> str:
    """First 12 hex digits of the SHA-256 of all files of a page's folders."""
    digest = hashlib.sha256()
    for path in sorted(file for folder in folders for file in folder.iterdir() if file.is_file()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def environment_of(templates: Path, *, version: str) -> Environment:
    """A page's templates. All values are escaped: what a model wrote is only ever text."""
    environment = Environment(
        loader=FileSystemLoader(templates), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    environment.globals.update(version=version)
    return environment


@cache
def _environment() -> Environment:
    environment = environment_of(TEMPLATES, version=page_version())
    environment.filters["paragraphs"] = paragraphs
    environment.filters["words"] = lambda name: str(name).replace("_", " ")
    environment.globals.update(asked=asked, short=SHORT)
    return environment


def paragraphs(text: str) -> list[str]:
    """A text's paragraphs: what stands between empty lines."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return ["\n".join(paragraph) for paragraph in found if paragraph]


def asked(prompt: str, document: str) -> tuple[str, str]:
    """What is asked, and the text that it is about where that is shown beside it: nobody reads one text twice."""
    if not document or document not in prompt:
        return prompt, document
    instruction = "\n\n".join(part.strip() for part in prompt.split(document, 1) if part.strip())
    return (instruction, document) if instruction and len(document) > SHORT else (prompt, "")


def page(template: str, values: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
    """A page or a part of one."""
    return HTMLResponse(_environment().get_template(template).render(**values), status_code=status)


class VersionedFiles(StaticFiles):
    """Static files; their address holds the page's version, so that a browser may keep them."""

    def __init__(self, version: str, **where: Any) -> None:
        super().__init__(**where)
        self.version = version

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if path.split("/")[0] == self.version:
            response.headers["Cache-Control"] = f"public, max-age={A_YEAR_S}, immutable"
        return response

    def lookup_path(self, path: str) -> Any:
        return super().lookup_path(path.partition("/")[2] if path.split("/")[0] == self.version else path)


class PageBeside:
    """Another app's page: the templates and files of its own folder, and the review page's files that it uses too."""

    def __init__(self, folder: Path) -> None:
        self._static, self._templates = folder / "static", folder / "templates"

    @cached_property
    def _version(self) -> str:
        return version_of(self._static, self._templates, STATIC)

    @cached_property
    def files(self) -> VersionedFiles:
        return VersionedFiles(self._version, directory=self._static, packages=[("apps.review", "static")])

    @cached_property
    def templates(self) -> Environment:
        return environment_of(self._templates, version=self._version)
