# The same image runs web, workers, clock and the migration; docker-compose.yml says which.
FROM python:3.12-slim-trixie AS libraries
WORKDIR /build
COPY requirements.lock .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock

FROM python:3.12-slim-trixie
# pg_dump and pg_restore of the same major version as the server in docker-compose.yml: `flask backup` calls them.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home coin \
    && install -d -o coin /data
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data NUMBA_CACHE_DIR=/data/kernels ARROW_DEFAULT_MEMORY_POOL=system MALLOC_ARENA_MAX=2
WORKDIR /app
COPY --from=libraries /venv /venv
COPY engine engine
COPY storage_core storage_core
COPY workers workers
COPY webapp webapp
COPY migrations migrations
COPY templates templates
COPY static static
COPY wsgi.py .
# Nothing can be written here later, and without this every process would compile every module again.
RUN python -m compileall -q .
USER 10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["gunicorn", "--config", "python:workers.gunicorn_config", "wsgi:app", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", "--threads", "8", "--no-control-socket"]
