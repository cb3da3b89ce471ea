# syntax=docker/dockerfile:1
# The one image of the project: each service of docker-compose.yml is `fledgling platform --only NAME` in it.
# The code lies in /work; the worker alone has the clone mounted over it.
FROM python:3.11-slim-trixie AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

FROM base AS build
# with CUDA: --build-arg TORCH_INDEX=https://pypi.org/simple
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /work
# no pip in it: what runs needs none
RUN python -m venv --without-pip /venv
COPY constraints.txt pyproject.toml ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
    print(*p['dependencies'], *p['optional-dependencies']['s3'], sep='\n')" > /tmp/requirements.txt
# torch alone from its own index: the rest of what lies there is of other versions than constraints.txt names
RUN pip --no-cache-dir --python /venv/bin/python install --no-deps \
    --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"
RUN pip --no-cache-dir --python /venv/bin/python install -c constraints.txt -r /tmp/requirements.txt
COPY . .
RUN pip --no-cache-dir --python /venv/bin/python install --no-deps --config-settings editable_mode=compat -e .

FROM base AS runtime
# of whom owns the clone: what the worker writes there stays theirs
ARG UID=1000
ARG GID=1000
# g++ trains with torch.compile: about twice as fast, and a compiler in the image
ARG EXTRA_PACKAGES=""
# git: which commit a model is of; PostgreSQL's client, of the server's major version: the backup
# Debian keeps one version of a package, so a pinned one can't be had a month later; EXTRA_PACKAGES may be none or many
# hadolint ignore=DL3008,SC2086
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git postgresql-client-17 ${EXTRA_PACKAGES} \
    && rm -rf /var/lib/apt/lists/* \
    && pip uninstall --yes --root-user-action=ignore setuptools wheel pip \
    && groupadd --non-unique --gid "$GID" fledgling \
    && useradd --non-unique --uid "$UID" --gid "$GID" --no-create-home --home-dir /tmp fledgling \
    && git config --system user.name fledgling \
    && git config --system user.email fledgling@localhost \
    && git config --system safe.directory /work
COPY --from=build /venv /venv
COPY --from=build /work /work
# what volumes are mounted on: a new one takes its owner from here
RUN mkdir -p /work/var/mlflow/artifacts /work/var/serving /work/var/backups /work/.dvc/cache /backups \
    && chown -R "$UID:$GID" /work/var /work/.dvc/cache /backups
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp
WORKDIR /work
USER $UID:$GID
CMD ["fledgling", "--help"]
