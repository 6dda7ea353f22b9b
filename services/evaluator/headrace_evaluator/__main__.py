"""Run the evaluator."""

from headrace_evaluator.app import build

if __name__ == "__main__":
    build().run()
