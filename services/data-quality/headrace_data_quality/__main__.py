"""Run data-quality: `python -m headrace_data_quality`."""

from headrace_data_quality.app import build

if __name__ == "__main__":
    build().run()
