"""Where the page may listen, and the secret that it keeps."""

from pathlib import Path

import pytest

from apps.review.settings import Settings, is_loopback, load_settings
from apps.serve.settings import DEFAULT_PORT, KEYS, PORT
from tests.conftest import refused

SECRET = "a secret of the tests, forty characters or so"


def settings(tmp_path: Path, *, host: str | None = None, **environment: str) -> Settings:
    named = {f"FLEDGLING_REVIEW_{name}": value for name, value in environment.items()}
    return load_settings(host=host, environment=named, secret_file=tmp_path / "review" / "secret")


def test_without_a_word_it_is_for_this_machine_alone(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert found.address == "http://127.0.0.1:8100"
    assert is_loopback(found.host)
    assert "localhost" in found.hosts


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "review.example"])  # noqa: S104
def test_an_open_bind_needs_a_secret_and_hosts(tmp_path: Path, host: str) -> None:
    for environment in ({}, {"SECRET": SECRET}, {"HOSTS": "review.example"}, {"SECRET": "short", "HOSTS": "x.example"}):
        with refused("FLEDGLING_REVIEW_SECRET.*FLEDGLING_REVIEW_HOSTS"):
            settings(tmp_path, host=host, **environment)
    found = settings(tmp_path, host=host, SECRET=SECRET, HOSTS="review.example")
    assert found.address == "http://review.example:8100"
    assert "review.example" in found.hosts
    assert host not in found.hosts or host == "review.example"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_needs_neither(tmp_path: Path, host: str) -> None:
    assert settings(tmp_path, host=host).secret


def test_the_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    made = settings(tmp_path).secret
    file = tmp_path / "review" / "secret"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(made) >= 32
    assert settings(tmp_path).secret == made
    assert [path.name for path in file.parent.iterdir()] == ["secret"]


def test_a_secret_that_is_none_is_told(tmp_path: Path) -> None:
    with refused("FLEDGLING_REVIEW_SECRET has 5 characters"):
        settings(tmp_path, SECRET="short")
    file = tmp_path / "review" / "secret"
    file.parent.mkdir()
    file.write_text("cut")
    with refused(r"secret: holds 3 characters; remove it"):
        settings(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "x"), ("PORT", "0"), ("PORT", "70000"), ("HOSTS", "*"), ("HOSTS", "https://x.example"), ("HTTPS", "yes")],
)
def test_what_is_wrong_is_told(tmp_path: Path, name: str, value: str) -> None:
    with refused(f"FLEDGLING_REVIEW_{name}"):
        settings(tmp_path, **{name: value})


def test_the_models_are_asked_on_this_machine_unless_it_is_said(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    found = load_settings(environment={}, secret_file=file)
    assert (found.models, found.models_key) == (f"http://127.0.0.1:{DEFAULT_PORT}", None)
    assert load_settings(environment={PORT: "8300"}, secret_file=file).models == "http://127.0.0.1:8300"
    elsewhere = {"FLEDGLING_SERVE_URL": "https://models.example/v1/", KEYS: "first-key-of-two, second"}
    found = load_settings(environment=elsewhere, secret_file=file)
    assert (found.models, found.models_key) == ("https://models.example", "first-key-of-two")
    for wrong in ("models.example", "http://", "http://a b", "http://models.example/path?x"):
        with refused("FLEDGLING_SERVE_URL is"):
            load_settings(environment={"FLEDGLING_SERVE_URL": wrong}, secret_file=file)
