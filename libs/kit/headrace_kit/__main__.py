"""`python -m headrace_kit replay --service NAME`: make a service's state again from the log.

Kafka, storage and the empty database come from the environment, as the service's own settings do.
"""

import argparse
import asyncio
import importlib
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from headrace_kit.replay import ReplayRefused, replay

if TYPE_CHECKING:
    from headrace_kit.service import Service

_REFUSED = 2


def main(arguments: list[str] | None = None) -> int:
    """Run a replay, print its report as JSON, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m headrace_kit")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("replay")
    command.add_argument("--service", required=True)
    given = parser.parse_args(arguments)
    module = importlib.import_module(f"headrace_{given.service.replace('-', '_')}.app")
    service: Service = module.build()
    try:
        report = asyncio.run(replay(service, service.settings.kafka.bootstrap_servers))
    except ReplayRefused as error:
        sys.stderr.write(f"{error}\n")
        return _REFUSED
    sys.stdout.write(json.dumps(asdict(report)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
