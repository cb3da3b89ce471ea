"""Who may ask MLflow's server: what its own login says, of the one scheme that it knows."""

from typing import Any


def authenticate() -> Any:
    """The user's name and password, or the answer 401: MLflow itself answers 500 to a scheme without a password."""
    from flask import request
    from mlflow.server.auth import authenticate_request_basic_auth, make_basic_auth_response

    if request.authorization is None or request.authorization.type != "basic":
        return make_basic_auth_response()
    return authenticate_request_basic_auth()
