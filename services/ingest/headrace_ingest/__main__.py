"""Run ingest: `python -m headrace_ingest`."""

from headrace_ingest.app import build

if __name__ == "__main__":
    build().run()
