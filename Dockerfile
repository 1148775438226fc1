# The same image runs web, worker, clock and release; docker-compose.yml says which.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data NUMBA_CACHE_DIR=/data/kernels
RUN useradd --system --uid 10001 --create-home coin && install -d -o coin /data
WORKDIR /app
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY engine engine
COPY storage_core storage_core
COPY workers workers
COPY webapp webapp
COPY migrations migrations
COPY templates templates
COPY static static
COPY wsgi.py .
USER coin
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["gunicorn", "wsgi:app", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", "--threads", "8", "--no-control-socket"]
