"""Run the registry."""

from headrace_registry.app import build

if __name__ == "__main__":
    build().run()
