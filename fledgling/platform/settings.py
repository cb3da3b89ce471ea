"""What each service of the platform is: its command and its environment. docker-compose.yml has the same ones."""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from fledgling import logins
from fledgling.platform.addresses import HOST, Ports, bind, hosts
from flows import process
from flows.local import CLIENT_RETRIES
from tasks.stage import STATE, UserError

PREFECT_STORE, MLFLOW_STORE = "PREFECT_API_DATABASE_CONNECTION_URL", "MLFLOW_BACKEND_STORE_URI"
REVIEW_STORE = "FLEDGLING_REVIEW_DATABASE"
_MLFLOW_CLIENT = (logins.MLFLOW_USER, logins.MLFLOW_PASSWORD)
NEEDS: Mapping[str, tuple[str, ...]] = {  # of what is secret
    "prefect": (logins.PREFECT, PREFECT_STORE),
    "mlflow": (*_MLFLOW_CLIENT, logins.MLFLOW_KEY, MLFLOW_STORE),
    "review": (logins.PREFECT, logins.REVIEW, logins.SERVE, REVIEW_STORE),
    "serve": (*_MLFLOW_CLIENT, logins.SERVE, REVIEW_STORE),
    "worker": (logins.PREFECT, *_MLFLOW_CLIENT, logins.SERVE, REVIEW_STORE, PREFECT_STORE, MLFLOW_STORE),  # `backup`
    "start": (logins.PREFECT,),
    "deploy": (logins.PREFECT,),
}
_SECRET = {name for names in NEEDS.values() for name in names}


def commands(wanted: Ports) -> dict[str, list[str]]:
    """The command of each service that goes on, by its name."""
    python = sys.executable
    return {
        "start": [python, "-m", "apps.start.server"],
        "serve": [python, "-m", "fledgling.platform.serving"],
        "prefect": [python, "-m", "prefect", "server", "start", "--host", bind(), "--port", str(wanted.prefect)],
        "mlflow": [python, "-m", "fledgling.platform.mlflow_server", *_mlflow(wanted)],
        "review": [python, "-m", "apps.review.server", bind()],
        "worker": [python, "-m", "fledgling.platform.worker"],
    }


def _mlflow(wanted: Ports) -> list[str]:
    store = STATE / "mlflow"
    store.mkdir(parents=True, exist_ok=True)
    database = [] if os.environ.get(MLFLOW_STORE) else ["--backend-store-uri", f"sqlite:///{store / 'mlflow.db'}"]
    artifacts = os.environ.get("MLFLOW_ARTIFACTS_DESTINATION") or str(store / "artifacts")
    own = [f"{name}:{wanted.mlflow}" for name in _names()]
    return [
        *("--host", bind(), "--port", str(wanted.mlflow), "--workers", "1"),
        *database,  # an address with a password is never an argument: every user of a machine sees those
        *("--artifacts-destination", artifacts),
        *("--allowed-hosts", ",".join(own)),
        *("--cors-allowed-origins", ",".join(f"http://{host}" for host in own)),
        *("--uvicorn-opts", "--log-level warning"),
    ]


def _names() -> tuple[str, ...]:
    return tuple(dict.fromkeys((HOST, "localhost", *hosts())))


def environment(wanted: Ports, service: str, *, alone: bool = False) -> dict[str, str]:
    """What a service runs under: state in var/, closed to other hosts and pages, nothing phones home.

    alone: in a container of its own, where the others' addresses are the environment's. A service is given no secret
    but those that it needs.
    """
    own = _own(wanted) | (_of_a_container() if alone else _addresses(wanted))
    given = {name: os.environ[name] for name in NEEDS[service] if os.environ.get(name)}
    found = {name: value for name, value in process.environment(own).items() if name not in _SECRET}
    if service == "prefect" and logins.PREFECT in given:
        given["PREFECT_SERVER_API_AUTH_STRING"] = given[logins.PREFECT]
    if service == "mlflow":
        found.pop("MLFLOW_TRACKING_URI", None)  # it is the server
    return found | given


def _own(wanted: Ports) -> dict[str, str]:
    origins = (f"http://{name}:{wanted.prefect}" for name in _names())
    return {
        "FLEDGLING_ROOT": str(Path.cwd()),
        "FLEDGLING_DEPLOYMENT": declaration(),
        "PREFECT_HOME": str((STATE / "prefect").resolve()),
        **{variable: str(port) for port, variable in wanted.named().values()},
        "FLEDGLING_REVIEW_HOSTS": os.environ.get("FLEDGLING_REVIEW_HOSTS") or ",".join(("localhost", *hosts())),
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins),
        "PREFECT_UI_API_URL": "/api",  # by whatever name the browser reaches it
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # SQLite: a service waits for another's writing
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",  # PostgreSQL on a busy machine: 5 s were too few
        "PREFECT_WORKER_WEBSERVER_HOST": HOST,
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        "PREFECT_CLIENT_MAX_RETRIES": CLIENT_RETRIES,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "60",  # what watch.py knows a dead run by
        "PYTHONWARNINGS": "ignore",  # of what the servers' own libraries will drop some day
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # with it: 15 processes, 3 GB
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
    }


def _of_a_container() -> dict[str, str]:
    """Prefect's pages are copied where they are served from; the packages of an image cannot be written."""
    pages = STATE / "prefect" / "ui"
    pages.mkdir(parents=True, exist_ok=True)
    return {"PREFECT_UI_STATIC_DIRECTORY": str(pages.resolve())}


def _addresses(wanted: Ports) -> dict[str, str]:
    """Of the services on one machine. MLflow's runs go through its server where that has a PostgreSQL of its own."""
    tracking = {"MLFLOW_TRACKING_URI": wanted.mlflow_url} if os.environ.get(MLFLOW_STORE) else {}
    return {"PREFECT_API_URL": f"{wanted.prefect_url}/api", **tracking}


def declaration() -> str:
    """Changes where prefect.yaml, a flow's module or the folder does."""
    digest = hashlib.sha256(str(Path.cwd()).encode())
    for path in (Path("prefect.yaml"), *sorted(Path("flows").glob("*.py"))):
        if not path.exists():
            raise UserError(f"{path}: no such file; run from the project's root")
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
