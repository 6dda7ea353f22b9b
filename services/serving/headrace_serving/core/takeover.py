"""Which Serve application answers for a base, and which are in the way. Pure.

An application is named by its base and by a digest of what it was made of (settings and code of
the replica), so another release or other settings are another application. Two may run side by
side: the newest that runs is asked by every replica of this service, whoever deployed it, so that
all agree without talking to one another. A service deploys its own when it starts, and otherwise
only where nothing runs: of two releases in a rolling restart the last that started prevails.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Raise it when the replica's methods change: what answers by other methods is not asked.
PROTOCOL = 1
RUNNING, DELETING = "RUNNING", "DELETING"
FAILED = ("DEPLOY_FAILED", "UNHEALTHY")
_SLUG_CHARACTERS = 40
_DIGEST_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Application:
    """One Serve application, as Ray tells of it."""

    name: str
    status: str
    deployed_at: float
    """Unix seconds."""


def family(base: str) -> str:
    """What the names of a base's applications begin with: a readable slug, and its hash."""
    slug = re.sub(r"[^a-z0-9]+", "-", base.lower()).strip("-")[-_SLUG_CHARACTERS:]
    return f"headrace-{PROTOCOL}-{slug}-{hashlib.sha256(base.encode()).hexdigest()[:8]}"


def application_name(base: str, made_of: Iterable[bytes]) -> str:
    """Name of the application of a base that is made of these settings and files."""
    digest = hashlib.sha256()
    for part in made_of:
        digest.update(hashlib.sha256(part).digest())
    return f"{family(base)}-{digest.hexdigest()[:_DIGEST_CHARACTERS]}"


def of_base(applications: Iterable[Application], base: str) -> list[Application]:
    """The applications of one base, those of releases before included."""
    slug = family(base).split("-", 2)[2]
    # A release before had names without a digest, and may have had another protocol.
    form = re.compile(rf"headrace-\d+-{re.escape(slug)}(-[0-9a-f]{{{_DIGEST_CHARACTERS}}})?")
    return [one for one in applications if form.fullmatch(one.name)]


def current(applications: Sequence[Application], base: str) -> Application | None:
    """The application that is asked: the newest that runs and speaks this protocol."""
    spoken = family(base)
    running = [a for a in applications if a.status == RUNNING and a.name.startswith(spoken)]
    return max(running, key=lambda one: (one.deployed_at, one.name), default=None)


def superseded(applications: Iterable[Application], by: Application) -> list[str]:
    """Applications that are older than the one that is asked: nobody needs them any more."""
    return [
        one.name
        for one in applications
        if one.name != by.name and one.deployed_at <= by.deployed_at and one.status != DELETING
    ]
