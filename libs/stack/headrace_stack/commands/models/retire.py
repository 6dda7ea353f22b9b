"""`headrace models retire NAME VERSION --reason R`."""

from typing import Any

from headrace_stack.commands.api import Api, connect
from headrace_stack.commands.models.versions import Name, Reason, Version, decide, told
from headrace_stack.commands.output import Format, Lines, Output, show


def call(api: Api, name: str, version: str, reason: str) -> dict[str, Any]:
    """POST /models/{name}/versions/{version}/retire."""
    return decide(api, name, "versions", version, "retire", version=version, reason=reason)


def retire(name: Name, version: Version, reason: Reason, output: Output = Format.TABLE) -> None:
    """Take a version out of use: its canary ends, and no roll-back chooses it by itself.

    The version in production is refused: roll back, or promote another one, before.
    """
    api = connect()

    def answer() -> tuple[dict[str, Any], Lines]:
        done = call(api, name, version, reason)
        return done, told(done, waited=False)

    show(answer, output, name="production")
