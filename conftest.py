"""Test set-up for the whole workspace: the fixtures that libraries offer."""

from hypothesis import settings

pytest_plugins = ["headrace_kit.testing", "headrace_stack.testing"]

# On a busy machine one example may take a second: that says nothing about the code.
settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")
