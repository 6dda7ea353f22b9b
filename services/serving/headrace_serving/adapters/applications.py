"""Applications on Ray Serve: what there is, how one is deployed and deleted. All of it blocks."""

import json
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from headrace_kit.ray_driver import job_config
from headrace_serving.core.takeover import Application, application_name, of_base
from headrace_serving.settings import Replicas

_NAMESPACE = "headrace"
# What runs in the replica beside what Ray and torch are; another of these is another application.
_CODE = ("headrace_serving.adapters.replica", "headrace_serving.core.generation")
_CODE_PACKAGES = ("headrace_models",)
_LIBRARIES = ("ray", "torch", "transformers", "peft")
_GRACEFUL_SECONDS = 90.0


class Applications:
    """The applications on one Ray cluster."""

    def __init__(self, address: str, settings: Replicas) -> None:
        self._address = address
        self._settings = settings
        self._made_of = made_of(settings)
        self._serving = False

    def connect(self) -> None:
        """Connect to the cluster, if that is not done."""
        import ray
        from ray import serve

        if not ray.is_initialized():
            ray.init(
                address=self._address,
                namespace=_NAMESPACE,
                log_to_driver=False,
                configure_logging=False,
                job_config=job_config(),
            )
        # Ray Serve's own HTTP proxy is slow and not needed: HTTP enters at this service.
        serve.start(proxy_location="Disabled")
        self._serving = True

    def disconnect(self) -> None:
        """Disconnect; what runs goes on."""
        import ray

        self._serving = False
        if ray.is_initialized():
            ray.shutdown()

    def wanted(self, base: str) -> str:
        """Name of the application that these settings and this release's code make."""
        return application_name(base, self._made_of)

    def of_base(self, base: str) -> list[Application]:
        """What there is for a base, of whatever release."""
        from ray import serve

        if not self._serving:
            self.connect()
        try:
            found = serve.status().applications.items()
        except Exception:
            self._serving = False  # its controller may be away: begin anew with the next look
            raise
        return of_base(
            [
                Application(name, str(one.status.value), one.last_deployed_time_s)
                for name, one in found
            ],
            base,
        )

    def handle(self, name: str) -> Any:
        """A handle to an application that runs."""
        from ray import serve

        return serve.get_app_handle(name)

    def deploy(self, base: str) -> None:
        """Have the wanted application deployed; it runs later."""
        from ray import serve

        from headrace_serving.adapters.replica import Replica

        self.connect()
        settings = self._settings
        deployment: Any = serve.deployment(
            Replica,
            name="model",
            num_replicas=settings.count,
            max_ongoing_requests=settings.max_ongoing,
            ray_actor_options={"num_cpus": settings.num_cpus, "num_gpus": settings.num_gpus},
            health_check_timeout_s=120,  # a long batch may keep the interpreter's lock for long
            graceful_shutdown_timeout_s=_GRACEFUL_SECONDS,  # at most: until it has answered
        )
        application = deployment.bind(base, settings.threads, settings.max_adapters, settings.dtype)
        target = serve.RunTarget(application, name=self.wanted(base), route_prefix=None)
        serve.run_many([target], wait_for_applications_running=False)

    def delete(self, name: str) -> None:
        """Delete an application: its replicas answer what they have, then end."""
        from ray import serve

        serve.delete(name, _blocking=False)


def made_of(settings: Replicas) -> list[bytes]:
    """Settings, versions and files that make a replica what it is."""
    replica = settings.model_dump(include=set(Replicas.OF_THE_REPLICA))
    libraries = {name: version(name) for name in _LIBRARIES}
    parts = [json.dumps([replica, libraries], sort_keys=True).encode()]
    return parts + [path.read_bytes() for path in _files()]


def _files() -> list[Path]:
    found = [Path(_origin(module)) for module in _CODE]
    for package in _CODE_PACKAGES:
        found += sorted(Path(_origin(package)).parent.rglob("*.py"))
    return found


def _origin(module: str) -> str:
    spec = find_spec(module)
    assert spec and spec.origin  # noqa: S101 - they are dependencies of this package
    return spec.origin
