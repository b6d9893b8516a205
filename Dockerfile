# Two images: `pipeline` runs setup, code server, daemon and web servers; `proxy` stands in front.
# The bases are pinned by tag. To pin what a tag may still change, append the digest that
# `docker buildx imagetools inspect python:3.11.14-slim-trixie` shows: python:3.11.14-slim-trixie@sha256:…

FROM python:3.11.14-slim-trixie AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY requirements.lock pyproject.toml ./
COPY scripts/deploy/runtime_requirements.py scripts/deploy/
# What the tests need stays out. Every package is checked against its hash.
RUN python -m venv /opt/venv \
  && python scripts/deploy/runtime_requirements.py >/tmp/requirements.txt \
  && /opt/venv/bin/pip install --require-hashes --only-binary :all: -r /tmp/requirements.txt
COPY README.md LICENSE dagster.yaml ./
COPY backtest_pipeline backtest_pipeline
RUN /opt/venv/bin/pip install --no-deps . && /opt/venv/bin/pip uninstall --yes pip
# Python asks for a source's time of change before it trusts what it compiled from it. Whole seconds survive every way of
# storing an image.
RUN find /opt/venv -name '*.py' -exec touch --date=@1735689600 {} + \
  && /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib
# The kernels are compiled for any processor of this kind, not for the one that builds.
ENV NUMBA_CPU_NAME=generic NUMBA_CACHE_DIR=/opt/cache/numba MPLCONFIGDIR=/opt/cache/matplotlib
RUN /opt/venv/bin/backtest doctor --warm \
  && /opt/venv/bin/python -c "import matplotlib.font_manager" \
  && chmod -R a+rX /opt/cache


FROM python:3.11.14-slim-trixie AS pipeline
# pg_dump, pg_restore and psql of the database's own version, for the backup. Debian keeps one version a release, with
# fixes alone, so it is not pinned further.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install --yes --no-install-recommends postgresql-client-17 \
  && rm -rf /var/lib/apt/lists/* \
  # Whatever user runs the containers: a new volume takes the rights of this folder.
  && mkdir --mode=1777 /dagster_home \
  && mkdir --mode=1777 /data
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /opt/cache /opt/cache
COPY scripts/backup.py scripts/restore.py scripts/backup_file.py scripts/backup_database.py /app/scripts/
COPY scripts/deploy /app/scripts/deploy
# HOME is where libraries keep what they can do without.
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
  NUMBA_CPU_NAME=generic NUMBA_CACHE_DIR=/tmp/cache/numba MPLCONFIGDIR=/tmp/cache/matplotlib
WORKDIR /app
USER 1000:1000
ENTRYPOINT ["/app/scripts/deploy/start"]
CMD ["backtest", "--help"]


FROM caddy:2.10.2-alpine AS proxy
# Certificates, for whatever user runs the container.
RUN mkdir -m 1777 /state
COPY scripts/deploy/Caddyfile /app/scripts/deploy/Caddyfile
USER 1000:1000
CMD ["caddy", "run", "--config", "/app/scripts/deploy/Caddyfile", "--adapter", "caddyfile"]
