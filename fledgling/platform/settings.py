"""What each service of the platform is: its command and its environment."""

import hashlib
import sys
from pathlib import Path

from fledgling.platform.addresses import HOST, Ports
from flows import process
from tasks.stage import STATE, UserError


def commands(wanted: Ports) -> dict[str, list[str]]:
    """The command of each service, by its name."""
    python = sys.executable
    store = STATE / "mlflow"
    store.mkdir(parents=True, exist_ok=True)
    own = [f"{name}:{wanted.mlflow}" for name in (HOST, "localhost")]
    serve = "from apps.serve.server import serve; serve('champion')"
    return {
        **({} if wanted.serve is None else {"serve": [python, "-c", serve]}),
        "prefect": [python, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(wanted.prefect)],
        "mlflow": [
            *(python, "-m", "mlflow", "server", "--host", HOST, "--port", str(wanted.mlflow), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{store / 'mlflow.db'}"),
            *("--artifacts-destination", str(store / "artifacts")),
            *("--allowed-hosts", ",".join(own)),
            *("--cors-allowed-origins", ",".join(f"http://{host}" for host in own)),
            *("--uvicorn-opts", "--log-level warning"),
        ],
        "review": [python, "-c", "from apps.review.server import serve; serve()"],
        "worker": [python, "-c", "from fledgling.platform.worker import work; work()"],
    }


def environment(wanted: Ports) -> dict[str, str]:
    """What every service runs under: state in var/, closed to other hosts and pages, nothing phones home."""
    return process.environment(
        {
            "FLEDGLING_ROOT": str(Path.cwd()),
            "FLEDGLING_DEPLOYMENT": declaration(),
            "PREFECT_HOME": str((STATE / "prefect").resolve()),
            "FLEDGLING_REVIEW_PORT": str(wanted.review),
            **({} if wanted.serve is None else {"FLEDGLING_SERVE_PORT": str(wanted.serve)}),
            "PREFECT_API_URL": f"{wanted.prefect_url}/api",
            "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{wanted.prefect_url},http://localhost:{wanted.prefect}",
            "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # SQLite: a service waits for another's writing
            "PREFECT_WORKER_WEBSERVER_HOST": HOST,
            "PREFECT_WORKER_QUERY_SECONDS": "5",
            "PYTHONWARNINGS": "ignore",  # of what the servers' own libraries will drop some day
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # with it: 15 processes, 3 GB
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "MLFLOW_ENABLE_AI_GATEWAY": "false",
        }
    )


def declaration() -> str:
    """Changes where prefect.yaml, a flow's module or the folder does."""
    digest = hashlib.sha256(str(Path.cwd()).encode())
    for path in (Path("prefect.yaml"), *sorted(Path("flows").glob("*.py"))):
        if not path.exists():
            raise UserError(f"{path}: no such file; run from the project's root")
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
