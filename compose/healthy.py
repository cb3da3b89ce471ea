"""`python compose/healthy.py URL`: exit 0 where something answers there, and well (the image holds no curl)."""

import sys
import urllib.error
import urllib.request

LIMIT_S = 5


def is_healthy(url: str) -> bool:
    """Whether the address answers with 200 to 299."""
    try:
        with urllib.request.urlopen(url, timeout=LIMIT_S):  # noqa: S310 - of docker-compose.yml, http: only
            return True
    except (OSError, urllib.error.URLError):
        return False


if __name__ == "__main__":
    sys.exit(not is_healthy(sys.argv[1]))
