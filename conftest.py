"""Test set-up for the whole workspace: the fixtures that libraries offer."""

pytest_plugins = ["headrace_kit.testing", "headrace_stack.testing"]
