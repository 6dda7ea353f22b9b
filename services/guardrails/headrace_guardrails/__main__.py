"""`python -m headrace_guardrails`: run the service."""

from headrace_guardrails.app import build

if __name__ == "__main__":
    build().run()
