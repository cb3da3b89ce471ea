"""Who gets in and what they may do there, over real HTTP."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from limits import RateLimitItemPerHour
from starlette.testclient import TestClient

from apps.review import protection
from apps.review.access import Gate
from apps.review.app import create_app
from apps.review.protection import HEADERS
from apps.review.settings import Settings, load_settings
from tasks.judging.rubric import load_rubric
from tasks.reviews import reviewers
from tasks.reviews.database import Database, open_database
from tasks.reviews.params import ReviewParams
from tasks.stage import load_params
from tests.apps.review.filled import NOW, ROOT, SECRET, Filling, Served, fill, invite, rows
from tests.apps.review.member import answer, joined, order_of

pytestmark = pytest.mark.server

Publish = Callable[..., str]


@pytest.fixture
def own(tmp_path: Path) -> tuple[Settings, Database]:
    """A database with three choices, for a page of the test's own settings."""
    settings = load_settings(environment={"FLEDGLING_REVIEW_SECRET": SECRET, "FLEDGLING_REVIEW_HTTPS": "true",
                                          "FLEDGLING_REVIEW_HOSTS": "review.example"})  # fmt: skip
    database = open_database(f"sqlite:///{tmp_path / 'own.db'}")
    fill(database, [Filling(kind="choice")] * 3)
    return settings, database


def browserless(settings: Settings, database: Database, **options: object) -> TestClient:
    params = load_params(ReviewParams, "review", file=ROOT / "params.yaml")
    app = create_app(settings, database, params, load_rubric(ROOT / "rubric.yaml"))
    return TestClient(app, base_url="https://review.example", **options)  # type: ignore[arg-type]


def test_a_stranger_sees_no_card(served: Served) -> None:
    for path in ("/", "/owner", "/owner/batches/first", "/owner/items/first/0"):
        response = httpx.get(f"{served.address}{path}")
        assert (response.status_code, "Open your invite link" in response.text) == (401, True)
    assert httpx.post(f"{served.address}/answers", data=answer(1, {"side": "left"})).status_code == 401


def test_a_link_lets_in_only_when_its_button_is_pressed(served: Served, database: Database) -> None:
    link = invite(database, served.settings, "Lina")
    looked_at = httpx.get(link)
    assert looked_at.status_code == 200
    assert "set-cookie" not in looked_at.headers
    pressed = httpx.post(f"{served.address}/join", data={"token": link.partition("token=")[2]})
    assert pressed.status_code == 303
    cookie = pressed.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie  # plain HTTP on this machine


def test_a_forged_link_lets_nobody_in(served: Served, database: Database) -> None:
    token = invite(database, served.settings, "Mallory").partition("token=")[2]
    other = Gate(load_settings(environment={"FLEDGLING_REVIEW_SECRET": "another secret, as long as it has to be"}))
    with database.session() as session:
        forged = other.invite_link(reviewers.by_name(session, "Mallory")).partition("token=")[2]
    for wrong in (token[:-2] + "xx", forged, "x" * 900):
        assert httpx.post(f"{served.address}/join", data={"token": wrong}).status_code == 401


def test_a_link_is_no_cookie(served: Served, database: Database) -> None:
    token = invite(database, served.settings, "Salt").partition("token=")[2]
    cookies = {f"fledgling-review-{served.settings.port}": token}
    assert httpx.get(f"{served.address}/", cookies=cookies).status_code == 401


def test_revoking_ends_links_and_sessions(served: Served, database: Database) -> None:
    link = invite(database, served.settings, "Rhea")
    with joined(link) as member:
        assert member.client.get("/").status_code == 200
        with database.session() as session:
            reviewers.revoke(session, "Rhea")
        assert member.client.get("/").status_code == 401
        assert member.choose(1).status_code == 401
        with database.session() as session:
            reviewers.admit(session, "Rhea")
        assert member.client.get("/").status_code == 401  # what was of before stays ended
    assert httpx.get(link).status_code == 401


def test_leaving_ends_the_session_in_this_browser(served: Served, database: Database) -> None:
    with joined(invite(database, served.settings, "Leah")) as member:
        assert member.post("/leave", {}).status_code == 200
        assert member.client.get("/").status_code == 401


def test_an_answer_needs_the_token_of_its_own_session(served: Served, database: Database, publish: Publish) -> None:
    publish(Filling(kind="choice"))
    with (
        joined(invite(database, served.settings, "Cara")) as one,
        joined(invite(database, served.settings, "Cass")) as other,
    ):
        sent = answer(one.cards[0], {"side": "left"})
        for wrong in ("", "x", other.csrf):
            assert one.client.post("/answers", data=sent, headers={"X-CSRF-Token": wrong}).status_code == 403
        assert rows(database, name="Cara") == []
        assert one.post("/answers", sent).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}]
)
def test_another_site_can_send_nothing(
    served: Served, database: Database, publish: Publish, headers: dict[str, str]
) -> None:
    publish(Filling(kind="choice"))
    name = f"Dora {sorted(headers.items())}"
    link = invite(database, served.settings, name)
    token = link.partition("token=")[2]
    assert httpx.post(f"{served.address}/join", data={"token": token}, headers=headers).status_code == 403
    with joined(link) as member:
        sent = answer(member.cards[0], {"side": "left"})
        assert member.post("/answers", sent, **headers).status_code == 403
    assert rows(database, name=name) == []


def test_a_reviewer_is_no_owner(served: Served, database: Database) -> None:
    with joined(invite(database, served.settings, "Nora")) as member:
        for path in ("/owner", "/owner/batches/first", "/owner/items/first/0"):
            assert member.client.get(path).status_code == 403
        invited = member.post("/owner/reviewers", {"name": "Me too", "role": "owner"})
        assert invited.status_code == 403
        assert member.post("/owner/reviewers/1/revoke", {}).status_code == 403


def test_an_owner_invites_and_revokes_but_not_themself(served: Served, database: Database) -> None:
    with joined(invite(database, served.settings, "Olga", "owner")) as owner:
        shown = owner.post("/owner/reviewers", {"name": "Petra", "role": "reviewer"})
        assert f"{served.address}/join?token=" in shown.text
        again = owner.post("/owner/reviewers", {"name": "Petra", "role": "reviewer"})
        assert (again.status_code, again.text) == (400, "there is a reviewer 'Petra' already; names are unique")
        with database.reading() as session:
            petra, olga = (reviewers.by_name(session, name).id for name in ("Petra", "Olga"))
        assert owner.post(f"/owner/reviewers/{petra}/revoke", {}).headers["HX-Refresh"] == "true"
        assert owner.post(f"/owner/reviewers/{olga}/revoke", {}).status_code == 400
        assert owner.post("/owner/reviewers", {"name": "x", "role": "emperor"}).status_code == 422
    with database.reading() as session:
        assert not reviewers.by_name(session, "Petra").is_active


def test_an_unknown_host_is_refused(served: Served) -> None:
    assert httpx.get(f"{served.address}/", headers={"Host": "evil.example"}).status_code == 400
    for own in ("localhost", "127.0.0.1:1", "[::1]:8100"):
        assert httpx.get(f"{served.address}/healthz", headers={"Host": own}).status_code == 200


def test_every_answer_has_the_headers(served: Served) -> None:
    for path in ("/", "/healthz", "/join?token=x", "/nowhere", "/static/review.css"):
        response = httpx.get(f"{served.address}{path}")
        assert {name: response.headers.get(name) for name in HEADERS} == dict(HEADERS)
        assert response.headers["Cache-Control"] == "no-store"
        assert "server" not in response.headers
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_no_page_holds_inline_script_or_style() -> None:
    templates = (ROOT / "apps" / "review" / "templates").glob("*.j2")
    for text in (template.read_text() for template in templates):
        assert "<style" not in text
        assert " style=" not in text
        assert all(" src=" in part.partition(">")[0] for part in text.split("<script")[1:])
        assert "javascript:" not in text
        assert "://" not in text.replace("http://www.w3.org", "")
        assert "|safe" not in text


def test_a_large_body_is_refused(served: Served, database: Database) -> None:
    with joined(invite(database, served.settings, "Bulk")) as member:
        large = answer(1, {"text": "x" * 120_000})
        assert member.post("/answers", large).status_code == 413

        def chunks() -> "list[bytes]":
            return [b"x" * 10_000] * 12  # no length is told

        streamed = member.client.post("/answers", content=iter(chunks()), headers={"X-CSRF-Token": member.csrf})
        assert streamed.status_code == 413


def test_static_files_are_kept_by_their_version(served: Served, database: Database) -> None:
    with joined(invite(database, served.settings, "Stat")) as member:
        page = member.client.get("/").text
        address = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
        assert "immutable" in member.client.get(address).headers["Cache-Control"]
        assert member.client.get("/static/../access.py").status_code == 404
        assert member.client.get("/static/%2e%2e/access.py").status_code == 404


def test_a_resend_is_no_second_row(served: Served, database: Database, publish: Publish) -> None:
    publish(*[Filling(kind="choice")] * 2)
    with joined(invite(database, served.settings, "Nonce")) as member:
        first, second = member.cards
        sent = answer(first, {"side": "left"})
        answers = [member.post("/answers", sent) for _ in range(3)]
        assert [response.status_code for response in answers] == [200, 200, 200]
        assert [order_of(response) for response in answers] == [[second]] * 3
    assert len(rows(database, name="Nonce")) == 1


def test_what_is_wrong_is_told_in_one_line(served: Served, database: Database, publish: Publish) -> None:
    publish(Filling(kind="choice"))
    with joined(invite(database, served.settings, "Wrong")) as member:
        (card,) = member.cards
        sideways = member.choose(card, "up")
        assert sideways.status_code == 409
        assert "allowed: left, right, tie, both_bad" in sideways.text
        assert order_of(sideways) == [card]
        assert "there is no card" in member.choose(9_999_999).text
        for field, value in (("said", "{"), ("nonce", "short"), ("milliseconds", -1), ("assignment", "x"),
                             ("holding", "1,2")):  # fmt: skip
            response = member.post("/answers", {**answer(card, {"side": "left"}), field: value})
            assert (response.status_code, response.text.count("\n")) == (422, 0)
            assert field in response.text
    assert rows(database, name="Wrong") == []


def test_somebody_elses_card_is_not_mine_to_answer(served: Served, database: Database, publish: Publish) -> None:
    publish(Filling(kind="choice"))
    with (
        joined(invite(database, served.settings, "Mine")) as one,
        joined(invite(database, served.settings, "Thine")) as other,
    ):
        (card,) = one.cards
        assert other.cards == []
        assert other.choose(card).status_code == 409
    assert rows(database, name="Thine") == []


def test_behind_https_the_cookie_is_secure_and_bound_to_the_host(own: tuple[Settings, Database]) -> None:
    settings, database = own
    link = invite(database, settings, "Tess")
    assert link.startswith("https://review.example/join?token=")
    with browserless(settings, database, follow_redirects=False) as client, database:
        cookie = client.post("/join", data={"token": link.partition("token=")[2]}).headers["set-cookie"]
        assert cookie.startswith("__Host-")
        assert "Secure" in cookie


def test_too_many_requests_of_a_session_are_put_off(
    own: tuple[Settings, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protection, "OF_A_SESSION", (RateLimitItemPerHour(20),))  # however slow the machine is
    settings, database = own
    token = invite(database, settings, "Fast").partition("token=")[2]
    with browserless(settings, database) as client, database:
        client.post("/join", data={"token": token})
        answers = [client.get("/") for _ in range(30)]
        assert {response.status_code for response in answers} == {200, 429}
        put_off = next(response for response in answers if response.status_code == 429)
        assert put_off.headers["Retry-After"] == "2"


def test_guessing_links_is_put_off(own: tuple[Settings, Database], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "JOINS_OF_AN_ADDRESS", (RateLimitItemPerHour(60),))
    settings, database = own
    with browserless(settings, database) as client, database:
        codes = [client.post("/join", data={"token": f"guess-{number}"}).status_code for number in range(80)]
    assert codes[:59] == [401] * 59
    assert codes[-15:] == [429] * 15


def test_a_name_of_before_has_no_session_in_a_new_database(own: tuple[Settings, Database]) -> None:
    settings, database = own
    with database.session() as session:
        unknown = reviewers.add(session, "Gone", "owner", NOW)
        token = Gate(settings).invite_link(unknown).partition("token=")[2]
        session.rollback()
    with browserless(settings, database) as client, database:
        assert client.post("/join", data={"token": token}).status_code == 401
