#!/bin/sh
# Start the image's service, or the command given instead of it.
set -eu

# Trainer, evaluator and serving start work on Ray. A driver needs a Ray node on its own host, so
# the container joins the cluster as one without CPUs: no work lands here, all of it on the cluster.
if [ "${HEADRACE_RAY_NODE:-0}" = 1 ]; then
    until ray start --address="$HEADRACE_RAY__ADDRESS" --num-cpus=0 --num-gpus=0 \
        --disable-usage-stats; do
        echo "waiting for the Ray head at $HEADRACE_RAY__ADDRESS" >&2
        ray stop --force >/dev/null 2>&1 || true
        sleep 2
    done
fi

if [ "$#" -gt 0 ]; then
    exec "$@"
fi
exec python -P -m "headrace_$(printf %s "$HEADRACE_PACKAGE" | tr - _)"
