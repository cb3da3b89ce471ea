#!/bin/bash
# The profile s3: DVC's remote is a bucket, and what is cached so far is sent there. Settings: .env.s3.
set -euo pipefail

if [[ -z "${FLEDGLING_DVC_REMOTE:-}" ]]; then
    echo "s3: FLEDGLING_DVC_REMOTE is not set; cp compose/s3.env.example .env.s3 and fill it in" >&2
    exit 1
fi
python -m dvc remote add --force --local --default s3 "$FLEDGLING_DVC_REMOTE"
if [[ -n "${AWS_ENDPOINT_URL:-}" ]]; then
    python -m dvc remote modify --local s3 endpointurl "$AWS_ENDPOINT_URL"
fi
if [[ -e dvc.lock ]]; then
    python -m dvc --wait-for-lock push
else
    echo "s3: no dvc.lock yet, nothing to send; after a run: docker compose run --rm s3"
fi
