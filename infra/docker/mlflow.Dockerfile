# syntax=docker/dockerfile:1
# The MLflow server of the lock's version, with a PostgreSQL driver; clients are in the services.
FROM python:3.11-slim-bookworm
RUN pip install --no-cache-dir mlflow==3.17.2 pg8000==1.31.5 boto3 \
    && groupadd --gid 10001 headrace \
    && useradd --uid 10001 --gid headrace --create-home --shell /usr/sbin/nologin headrace \
    && install -d -o headrace -g headrace /data
ENV MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1
USER 10001:10001
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
ENTRYPOINT ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000"]
