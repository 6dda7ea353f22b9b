"""Questions and answers from the documentation that every Python interpreter carries.

Run as a process of its own (`python -m headrace_ingest.adapters.python_docs`): it imports most of
the standard library, which the service itself must not do.
"""
