"""Settings of the registry."""

from headrace_kit import ServiceSettings


class Settings(ServiceSettings):
    """What every service needs to know is enough."""
