"""One platform on PostgreSQL for all tests that change nothing of what others look at."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.answering import in_a_thread
from tests.flows.listening import Listener
from tests.platform.running import Platform, copy_project, platform_in
from tests.tasks.reviews.postgresql import USER, Server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    server = Server()
    yield server
    server.remove()


def databases(server: Server) -> dict[str, str]:
    """The addresses of three new databases, as the environment names them."""
    with psycopg.connect(server.address("postgres"), autocommit=True) as connection:
        for name in ("prefect", "mlflow", "reviews"):
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    at = f"{USER}@127.0.0.1:{server.port}"
    return {
        "PREFECT_API_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{at}/prefect",
        "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg://{at}/mlflow",
        "FLEDGLING_REVIEW_DATABASE": f"postgresql://{at}/reviews",
    }


@pytest.fixture(scope="session")
def listener() -> Iterator[Listener]:
    """Whom the platform tells of runs that ended badly."""
    with in_a_thread(Listener()) as made:
        yield made


@pytest.fixture(scope="session")
def platform(postgresql: Server, listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = copy_project(tmp_path_factory.mktemp("platform"))
    with platform_in(folder, FLEDGLING_NOTIFY_URL=listener.address, **databases(postgresql)) as running:
        yield running
