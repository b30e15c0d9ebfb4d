# Sealwright's container image: `make image`, or `docker build .`.
#
#   --build-arg BASE=…            any Debian 12 or later
#   --build-arg WITH_SOFTHSM=1    with SoftHSM, for trials; a real HSM's module is mounted
#
# An index or a CA of your own reaches pip as build secrets (pip-conf, ca-bundle) and stays out
# of every layer.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*

FROM base AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_CONFIG_FILE=/run/secrets/pip-conf
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
# setuptools builds the package and stays behind in an environment of its own.
RUN --mount=type=secret,id=pip-conf --mount=type=secret,id=ca-bundle \
    if [ -s /run/secrets/ca-bundle ]; then export PIP_CERT=/run/secrets/ca-bundle; fi \
    && python3 -m venv /opt/sealwright && python3 -m venv /opt/build \
    && awk '/^[^ ]/ { keep = /^setuptools==/ } keep' requirements-dev.lock >build.lock \
    && /opt/sealwright/bin/pip install --quiet --require-hashes -r requirements.lock \
    && /opt/build/bin/pip install --quiet --require-hashes -r build.lock
COPY pyproject.toml README.md LICENSE ./
COPY hsm hsm
COPY service service
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/sealwright/bin/pip install --quiet --no-deps --no-index /dist/*.whl \
    && /opt/sealwright/bin/python -m compileall -q /opt/sealwright/lib

FROM base
ARG WITH_SOFTHSM=0
RUN if [ "$WITH_SOFTHSM" = 1 ]; then \
        apt-get update && apt-get install -y --no-install-recommends softhsm2 \
        && rm -rf /var/lib/apt/lists/*; \
    fi \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/sealwright sealwright \
    && install -d -o sealwright -g sealwright -m 0700 /var/lib/sealwright
COPY --from=build /opt/sealwright /opt/sealwright
ENV PATH=/opt/sealwright/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SEALWRIGHT_BIND=0.0.0.0:8750
USER 10001:10001
WORKDIR /var/lib/sealwright
VOLUME /var/lib/sealwright
EXPOSE 8750
ENTRYPOINT ["sealwright"]
CMD ["serve"]
