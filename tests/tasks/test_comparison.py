"""The kept curves: one a profile, each the bytes that dvc.lock names."""

import hashlib
from pathlib import Path

import pytest

from tasks import comparison
from tasks.stage import UserError

CURVE = "step,tokens,train_loss,val_bits_per_byte\n1,900,3.2,{first}\n2,1800,3.1,1.5\n"


def made_by(profile: str, *, first: str = "1.75") -> None:
    """What a chain of a profile leaves."""
    curve = CURVE.format(first=first)
    Path("plots").mkdir(exist_ok=True)
    Path("plots/pretrain.csv").write_text(curve)
    Path("params.yaml").write_text(f"profile: {profile}\n")
    md5 = hashlib.md5(curve.encode(), usedforsecurity=False).hexdigest()
    Path("dvc.lock").write_text(
        f"stages:\n  validate:\n    params: {{params.yaml: {{profile: {profile}}}}}\n"
        f"  pretrain:\n    outs: [{{path: plots/pretrain.csv, md5: {md5}}}]\n"
    )


def test_a_curve_a_profile_the_newest_of_each(workspace: Path) -> None:
    made_by("laptop")
    assert comparison.keep() == "laptop"
    made_by("a-b")
    comparison.keep()
    made_by("laptop", first="1.625")
    comparison.keep()
    assert comparison.KEPT.read_text().splitlines() == [
        "profile,tokens,val_bits_per_byte",
        *("a-b,900,1.75", "a-b,1800,1.5"),
        *("laptop,900,1.625", "laptop,1800,1.5"),
    ]


def test_a_curve_of_another_profile_is_refused(workspace: Path) -> None:
    made_by("laptop")
    Path("params.yaml").write_text("profile: tinystories\n")
    with pytest.raises(UserError, match=r"made by profile 'laptop', params\.yaml says 'tinystories'"):
        comparison.keep()
    assert not comparison.KEPT.exists()


def test_a_curve_that_is_not_the_chains_is_refused(workspace: Path) -> None:
    made_by("laptop")
    Path("plots/pretrain.csv").write_text(CURVE.format(first="0.1"))
    with pytest.raises(UserError, match=r"not what dvc\.lock says it is"):
        comparison.keep()


def test_without_a_chain_it_says_what_to_do(workspace: Path) -> None:
    Path("params.yaml").write_text("profile: laptop\n")
    with pytest.raises(UserError, match="run the chain first"):
        comparison.keep()
