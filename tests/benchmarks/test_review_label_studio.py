"""The row beside Label Studio, where it is not installed."""

from pathlib import Path

from benchmarks.review_label_studio import review_page_vs_label_studio
from tests.conftest import refused


def test_where_it_is_missing_one_line_says_how_to_install_it(tmp_path: Path) -> None:
    with refused(rf"Label Studio is not in {tmp_path}: `python3.11 -m venv {tmp_path} && .*pip install label-studio`"):
        review_page_vs_label_studio(tmp_path)
