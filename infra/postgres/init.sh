#!/bin/sh
# One role and one database for each service, and for MLflow; nobody can connect to another's.
# Run by the postgres image on an empty data folder; it can be run again: what exists stays.
set -eu
: "${HEADRACE_DATABASE_PASSWORD:?set the password of the services roles}"

for name in ingest data_quality trainer evaluator registry serving guardrails monitor mlflow; do
    psql --set ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname postgres \
        --set role="headrace_$name" --set password="$HEADRACE_DATABASE_PASSWORD" <<'SQL'
SELECT format('CREATE ROLE %I LOGIN', :'role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role')
\gexec
ALTER ROLE :"role" PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'role', :'role')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'role')
\gexec
REVOKE CONNECT ON DATABASE :"role" FROM PUBLIC;
SQL
done
