"""`python -m headrace_serving`: run the service."""

from headrace_serving.app import build

if __name__ == "__main__":
    build().run()
