"""MLflow's server behind a login: its own app `basic-auth`, whose one account has the password that was configured."""

import configparser
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fledgling import logins
from tasks.registry import store
from tasks.stage import STATE

FILE = STATE / "mlflow" / "login.ini"
REMEMBERED_S = 60  # a password that was right; each check of its hash costs tens of milliseconds


def become(arguments: Sequence[str]) -> None:
    """Becomes `mlflow server ARGUMENTS`, the login prepared."""
    python = [sys.executable, "-m", "mlflow", "server", *arguments]
    if not logins.is_open():
        database = os.environ.get("MLFLOW_BACKEND_STORE_URI") or f"sqlite:///{store.USERS.absolute()}"
        user, password = os.environ[logins.MLFLOW_USER], os.environ[logins.MLFLOW_PASSWORD]
        os.environ["MLFLOW_AUTH_CONFIG_PATH"] = str(_write(FILE, database).absolute())
        os.environ["MLFLOW_AUTH_ADMIN_USERNAME"], os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"] = user, password
        os.environ["MLFLOW_BASIC_AUTH_FAIL_CLOSED"] = "true"  # a route without a rule of its own is refused
        follow_the_password(database, user, password)
        python += ["--app-name", "basic-auth"]
    os.execv(sys.executable, python)  # noqa: S606


def _write(file: Path, database: str) -> Path:
    """MLflow's own file of its login; it holds the database's address, so it is its owner's alone."""
    config = configparser.ConfigParser(interpolation=None)
    config["mlflow"] = {
        "default_permission": "READ",  # of an account that the administrator adds
        "database_uri": database,
        "authorization_function": "fledgling.platform.mlflow_login:authenticate",
        "auth_cache_ttl_seconds": str(REMEMBERED_S),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    with file.open("w", encoding="utf-8") as out:
        config.write(out)
    return file


def follow_the_password(database: str, user: str, password: str) -> None:
    """Gives the account the password of now: MLflow itself takes the configured one only where it makes the account."""
    from sqlalchemy import create_engine, inspect, text
    from werkzeug.security import check_password_hash

    engine = create_engine(database)
    try:
        if not inspect(engine).has_table("users"):
            return
        with engine.connect() as connection:
            kept = connection.execute(text("SELECT password_hash FROM users WHERE username = :user"), {"user": user})
            stored = kept.scalar()
    finally:
        engine.dispose()
    if stored is None or check_password_hash(stored, password):
        return
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore()
    store.init_db(database)
    store.update_user(user, password=password)


if __name__ == "__main__":
    become(sys.argv[1:])
