"""The demo: the whole loop, watched."""

from headrace_stack.demo.run import run

__all__ = ["run"]
