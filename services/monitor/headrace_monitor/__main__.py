"""Run the monitor: `python -m headrace_monitor`."""

from headrace_monitor.app import build

if __name__ == "__main__":
    build().run()
