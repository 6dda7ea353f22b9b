"""Which checks a workload wants, and how strict they are."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from headrace_events.workload import Manifest

CheckName = Literal["injection", "pii", "length"]
Stage = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class Policy:
    """The checks of one workload, in the order in which they run."""

    name: str
    input: tuple[CheckName, ...]
    output: tuple[CheckName, ...]
    max_chars: int
    pii: Literal["redact", "block"]
    fail: Literal["closed", "open"] = "closed"
    """What a check says that could not be finished within its budget."""

    def without(self, *checks: str) -> "Policy":
        """Return the policy with fewer input checks; made once for each policy."""
        return _without(self, checks)

    def checks(self, stage: Stage) -> tuple[CheckName, ...]:
        """Names of the checks of one stage."""
        return self.input if stage == "input" else self.output


@lru_cache(maxsize=1024)
def _without(policy: Policy, checks: tuple[str, ...]) -> Policy:
    return replace(policy, input=tuple(c for c in policy.input if c not in checks))


# What /v1/moderations holds a text against when no workload is named: everything.
DEFAULT = Policy(
    name="default",
    input=("length", "injection", "pii"),
    output=("length", "pii"),
    max_chars=8000,
    pii="redact",
)


def of_manifest(manifest: Manifest) -> Policy:
    """The policy that a manifest declares; the cheap check runs first."""
    guard = manifest.spec.guard
    return Policy(
        name=manifest.metadata.name,
        input=tuple(c for c in DEFAULT.input if c in guard.input),
        output=tuple(c for c in DEFAULT.output if c in guard.output),
        max_chars=guard.max_chars,
        pii=guard.pii,
        fail=guard.fail,
    )
