#!/bin/bash
# A database and a user each for Prefect, MLflow and the reviews; none may connect to another's.
# PostgreSQL's image runs this once, when its volume is new.
set -euo pipefail

database() {  # name, password
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "${POSTGRES_DB:-postgres}" \
        --set name="$1" --set password="$2" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
CREATE DATABASE :"name" OWNER :"name" TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

database prefect "${FLEDGLING_PREFECT_DB_PASSWORD:?}"
database mlflow "${FLEDGLING_MLFLOW_DB_PASSWORD:?}"
database reviews "${FLEDGLING_REVIEWS_DB_PASSWORD:?}"

# what Prefect's search needs, and its own user may not make everywhere
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname prefect \
    --command 'CREATE EXTENSION IF NOT EXISTS pg_trgm'
