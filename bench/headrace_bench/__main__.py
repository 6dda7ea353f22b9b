"""`python -m headrace_bench`."""

from headrace_bench.cli import app

if __name__ == "__main__":
    app(prog_name="python -m headrace_bench")
