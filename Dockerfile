# A tag that the registry may move: docs/guides/operate.md says how to pin its digest.
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 DEBUG=false STATIC_ROOT=/srv/static
WORKDIR /srv/app

# A volume of archived rows that is mounted here takes over who owns the folder.
# By number: Kubernetes can't tell from a name that it isn't root.
RUN groupadd --system --gid 10001 inventory \
    && useradd --system --uid 10001 --gid inventory --home-dir /srv/app --shell /usr/sbin/nologin inventory \
    && install --directory --owner inventory --mode 0700 /srv/archive

# Before the sources: dependencies change less often.
COPY requirements-runtime.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-runtime.lock

COPY . ./
# Settings ask for what a running service needs; collecting files reaches neither server, and the values go no further.
# Maps of sources are for no reader here, but stylesheets name them: they go once their names are known.
RUN python -m compileall -q . \
    && SECRET_KEY=$(python -c 'import secrets; print(secrets.token_urlsafe(50))') ALLOWED_HOSTS=build \
    DATABASE_URL=postgres://build/build REDIS_URL=redis://build python manage.py collectstatic --no-input -i 'redoc*' \
    && find "$STATIC_ROOT" -name '*.map*' -delete

USER 10001:10001
ENV HOST=0.0.0.0 PORT=8000
EXPOSE 8000

# Last, as it changes with each release. `make image` gives the version of pyproject.toml.
ARG VERSION=unreleased
LABEL org.opencontainers.image.title="Inventory reservation service" \
    org.opencontainers.image.version=$VERSION \
    org.opencontainers.image.licenses=MIT

# The probe gives up before its timeout, and starts nothing.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "config.serve", "--is-ready"]

CMD ["python", "-m", "config.serve"]
