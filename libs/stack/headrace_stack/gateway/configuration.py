"""nginx's configuration from `services.py`: the same rules embedded and in production.

`python -m headrace_stack.gateway FILE` writes the production one, which is committed.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

from headrace_stack.services import BODY_MIB, LARGE_BODIES, SERVICES

RETRY_AFTER_SECONDS = 2
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_NAME = re.compile(r"[A-Za-z0-9.*\[\]:-]+")
_INDENT = " " * 8
_ERROR_FOLDER = "/gateway/errors/"


@dataclass(frozen=True)
class Layout:
    """Where one gateway listens and whom it reaches; everything else is the template's."""

    generated: str
    main: tuple[str, ...]
    """Directives of nginx's main context."""
    listen: str
    targets: Mapping[str, str]
    """host:port of each service that runs; the others are answered 503."""
    folder: str
    """For the pid and for nginx's temporary folders, with a slash at the end; "" is its prefix."""
    hosts: tuple[str, ...] = LOCAL_HOSTS
    """Names by which it may be asked; `*.example.org` for all below."""
    resolver: str = ""
    log_all: bool = True
    """Each request in the log, or only what failed on our side."""
    private: tuple[str, ...] = ()
    """Paths that are nobody's from outside."""
    include: str = ""
    """Where more hosts and origins may be put beside this file, as a pattern."""
    hint: str = ""
    """Where to look when a service is down; `{service}` stands for its name."""


PRODUCTION = Layout(
    generated="Generated: python -P -m headrace_stack.gateway infra/docker/gateway/nginx.conf",
    main=("worker_processes auto;",),
    listen="8080",
    targets={service.name: f"{service.name}:8000" for service in SERVICES},
    folder="/tmp/",  # noqa: S108 - of a container that is read-only but for it
    hosts=(*LOCAL_HOSTS, "gateway"),
    # Docker's own DNS, asked again: a service that was started anew has a new address.
    resolver="resolver 127.0.0.11 valid=5s ipv6=off;",
    private=("metrics", "healthz", "readyz"),
    include="/etc/nginx/headrace",
)


def render(layout: Layout) -> str:
    """Return the text of `nginx.conf`; ValueError for a host that is no name."""
    for host in layout.hosts:
        if not _NAME.fullmatch(host):
            raise ValueError(f"{host!r} is no name of a host")
    template = files("headrace_stack.gateway").joinpath("nginx.conf.template").read_text()
    down = f"The service `$service` does not answer: it is not running, or starts. {_again(layout)}"
    broken = f"The service `$service` broke off before it had answered. {_again(layout)}"
    values = {
        "GENERATED": layout.generated,
        "MAIN": "\n".join(layout.main),
        "FOLDER": layout.folder,
        "LOGGED": _lines(["default 1;"] if layout.log_all else ["default 0;", '"~^5" 1;']),
        "RESOLVER": f"    {layout.resolver}\n\n" if layout.resolver else "",
        "DEFAULT": _owner_of_rest(),
        "ROUTES": _lines(_routes()),
        "TARGETS": _lines(f"{name:<14} {target};" for name, target in layout.targets.items()),
        "HOSTS": _lines([*(f'"{h}" 0;' for h in layout.hosts), *_included(layout, "hosts")]),
        "ORIGINS": _lines(_included(layout, "origins")),
        "LISTEN": layout.listen,
        "BODY": f"{BODY_MIB}m",
        "RETRY": str(RETRY_AFTER_SECONDS),
        "PRIVATE": _private(layout),
        "LOCATIONS": "".join(_large(path, mib) for path, mib in LARGE_BODIES.items()),
        "ERROR_PAGES": "\n".join(_INDENT + _page(error) for error in _ERRORS),
        "ERROR_LOCATIONS": "".join(_location(e, layout) for e in _ERRORS),
        "DOWN": _error(down, "service_unavailable", "service_unavailable"),
        "BROKEN": _error(broken, "service_unavailable", "bad_gateway"),
    }
    text = re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], template)
    return re.sub(r"\n{3,}", "\n\n", text)


@dataclass(frozen=True)
class _Error:
    """An answer of nginx's own, in OpenAI's shape."""

    code: int
    message: str
    kind: str = "invalid_request_error"
    word: str = ""
    status: int = 0
    """If not `code`, which may be one of nginx's internal numbers."""
    headers: tuple[str, ...] = ()
    without_path: bool = False
    """Found before there was a path, without which nginx goes to no named location."""


_RETRY = f"Retry-After {RETRY_AFTER_SECONDS}"
_ERRORS = (
    _Error(400, "The request is not valid HTTP.", word="bad_request", without_path=True),
    _Error(403, "The page that sent this (header Origin) is not of this address.",
           kind="permission_error", word="origin_not_allowed"),
    _Error(404, "There is no such path.", word="not_found"),
    _Error(405, "The gateway does not take this method.", word="method_not_allowed"),
    _Error(408, "The request did not come within its time.", word="request_timeout"),
    _Error(413, "The body is larger than the gateway takes for this path.", word="too_large"),
    _Error(414, "The address is too long.", word="uri_too_long", without_path=True),
    _Error(421, "This address is not known by that name (header Host).",
           word="host_not_allowed"),
    _Error(494, "The headers are too large.", word="headers_too_large", status=431),
    _Error(500, "The gateway failed; its log says more.", kind="server_error",
           word="internal_error"),
    _Error(501, "The gateway cannot do that.", kind="server_error", word="not_implemented"),
    _Error(503, "", kind="service_unavailable", word="service_unavailable", headers=(_RETRY,)),
    _Error(505, "The gateway speaks HTTP/1.1.", word="version_not_supported"),
)  # fmt: skip


def _page(error: _Error) -> str:
    status = f"={error.status} " if error.status else ""
    return f"error_page {error.code} {status}{_place(error)};"


def _place(error: _Error) -> str:
    return f"{_ERROR_FOLDER}{error.code}" if error.without_path else f"@e{error.code}"


def _location(error: _Error, layout: Layout) -> str:
    message = error.message or f"The service `$service` is not part of this. {_again(layout)}"
    body = _error(message, error.kind, error.word)
    if not error.message:
        body = _named(body)
    lines = [f"add_header {header} always;" for header in error.headers]
    # A body may still be under way: without this the answer would promise another request.
    lines.append("keepalive_timeout 0;")
    lines.append(f"return {error.status or error.code} '{body}';")
    inside = "".join(f"{_INDENT}    {line}\n" for line in lines)
    place = f"= {_place(error)}" if error.without_path else _place(error)
    internal = f"{_INDENT}    internal;\n" if error.without_path else ""
    return f"\n{_INDENT}location {place} {{\n{internal}{inside}{_INDENT}}}\n"


def _error(message: str, kind: str, code: str) -> str:
    error = {"message": message, "type": kind, "param": None, "code": code}
    body = json.dumps({"error": error}, separators=(",", ":"))
    return _named(body) if "$service" in message else body


def _named(body: str) -> str:
    """Also as a field of its own, for programs."""
    field = ',"service":"$service"}}'
    return body if field in body else body.removesuffix("}}") + field


def _again(layout: Layout) -> str:
    hint = layout.hint.format(service="$service")
    return f"Try again in {RETRY_AFTER_SECONDS} s{hint}."


def _owner_of_rest() -> str:
    return next(service.name for service in SERVICES if "/" in service.routes)


def _routes() -> list[str]:
    found = []
    for service in SERVICES:
        paths = "|".join(re.escape(r[1:]).replace(r"\-", "-") for r in service.routes if r != "/")
        if paths:
            pattern = f'"~^/(?:{paths})(?:/|$)"'
            found.append(f"{pattern:<68} {service.name};")
    return found


def _large(path: str, mib: int) -> str:
    """A path of uploads: passed on as they come, without a copy on disk.

    A service may answer before it has read one. nginx closes such a connection, having promised to
    keep it: so here it never promises.
    """
    return (
        f"\n{_INDENT}location ~ ^{re.escape(path)}(?:/|$) {{\n"
        f"{_INDENT}    client_max_body_size {mib}m;\n"
        f"{_INDENT}    proxy_request_buffering off;\n"
        f"{_INDENT}    keepalive_timeout 0;\n"
        f'{_INDENT}    if ($target = "") {{\n'
        f"{_INDENT}        return 503;\n"
        f"{_INDENT}    }}\n"
        f"{_INDENT}    proxy_pass http://$target;\n"
        f"{_INDENT}}}\n"
    )


def _private(layout: Layout) -> str:
    if not layout.private:
        return ""
    return (
        f"\n{_INDENT}# The services' own ports answer these to the cluster.\n"
        f"{_INDENT}location ~ ^/(?:{'|'.join(layout.private)})$ {{\n"
        f"{_INDENT}    return 404;\n"
        f"{_INDENT}}}\n"
    )


def _included(layout: Layout, what: str) -> list[str]:
    # A pattern may match nothing; a plain name must be there.
    return [f"include {layout.include}/{what}*.conf;"] if layout.include else []


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(f"{_INDENT}{line}" for line in lines)
