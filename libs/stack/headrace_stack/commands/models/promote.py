"""`headrace models promote NAME VERSION --reason R`."""

from typing import Any

from headrace_stack.commands.api import Api, connect
from headrace_stack.commands.models.versions import (
    Name,
    Reason,
    Seconds,
    Version,
    Wait,
    decide,
    told,
    wait_for,
)
from headrace_stack.commands.output import Format, Lines, Output, show


def call(api: Api, name: str, version: str, reason: str) -> dict[str, Any]:
    """POST /models/{name}/versions/{version}/promote."""
    return decide(api, name, "versions", version, "promote", version=version, reason=reason)


def promote(
    name: Name,
    version: Version,
    reason: Reason,
    wait: Wait = False,
    timeout: Seconds = 60,
    output: Output = Format.TABLE,
) -> None:
    """Give all traffic to a version: one in its canary, or once more one that was taken back.

    What its gate rejected, or what was never evaluated, is refused.
    """
    api = connect()

    def answer() -> tuple[dict[str, Any], Lines]:
        done = call(api, name, version, reason)
        if wait:
            wait_for(api, done, timeout)
        return done, told(done, waited=wait)

    show(answer, output, name="production")
