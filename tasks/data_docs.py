"""Great Expectations' Data Docs as pages that open without a network: its own rendering, our style sheet."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c2430;background:#fff}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{border-bottom:1px solid #dde3ea;padding:.4rem .6rem;text-align:left;vertical-align:top}
.badge{background:#eef2f6;border-radius:.3rem;padding:0 .35rem;font-family:ui-monospace,monospace;font-size:.9em}
h1,h2,h3,h4,h5{line-height:1.2}.fail{color:#a4161a}.pass{color:#1b6e3c}
.modal,.cooltip,nav,script,button,.ge-breadcrumbs,.ge-index-page-site-name-title,#ge-cta-footer{display:none}
.fa-check-circle::before,.fa-check::before{content:"\\2713";color:#1b6e3c}.fa-times::before{content:"\\2717";color:#a4161a}
a{color:#1a4f8b}svg,img{max-width:100%}
@media(prefers-color-scheme:dark){body{background:#14181d;color:#e4e8ec}td,th{border-color:#333c46}.badge{background:#252c35}a{color:#8ab8ee}.pass{color:#6fcf97}.fail{color:#ff8a8a}}
"""


def write_page(folder: Path, name: str, outcome: Mapping[str, Any]) -> Path:
    """Renders one validation result (as JSON, see `to_json_dict`) to `folder/name.html`."""
    from bs4 import BeautifulSoup
    from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    result = expectationSuiteValidationResultSchema.load(dict(outcome))
    page = DefaultJinjaPageView().render(ValidationResultsPageRenderer(run_info_at_end=True).render(result))
    soup = BeautifulSoup(page, "html.parser")
    for element in soup.select("script, link, nav, #ge-cta-footer, .modal, .sticky, footer"):
        element.decompose()
    for element in soup.select("img[src^=http]"):
        element.decompose()
    style = soup.new_tag("style")
    style.string = STYLE
    (soup.head or soup).append(style)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.html"
    path.write_text(str(soup), encoding="utf-8")
    return path


def write_index(folder: Path, pages: Mapping[str, bool]) -> Path:
    """Writes the page that links the data sets' pages, with whether each is valid.

    The pages of other stages that it linked before stay.
    """
    path = folder / "index.html"
    every = {**_linked(path), **pages}
    rows = "".join(
        f'<tr><td><a href="{html.escape(name)}.html">{html.escape(name)}</a></td>'
        f'<td class="{"pass" if ok else "fail"}">{"valid" if ok else "not valid"}</td></tr>'
        for name, ok in every.items()
    )
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Data Docs</title><style>{STYLE}</style>'
        f"<h1>Data Docs</h1><p>What Great Expectations found in the last run.</p>"
        f"<table><tr><th>data set</th><th>result</th></tr>{rows}</table></html>",
        encoding="utf-8",
    )
    return path


def _linked(index: Path) -> dict[str, bool]:
    """The pages that an index links and that are still there, with whether each is valid."""
    from bs4 import BeautifulSoup

    if not index.exists():
        return {}
    rows = BeautifulSoup(index.read_text(encoding="utf-8"), "html.parser").select("tr:has(a)")
    found = {row.select("td")[0].text: row.select("td")[1].text == "valid" for row in rows}
    return {name: ok for name, ok in found.items() if (index.parent / f"{name}.html").exists()}
