"""Nothing a user wrote reaches a log; traces are sampled by rate."""

import logging

import pytest
import structlog

from headrace_kit import logs
from headrace_kit.spans import RateLimit
from headrace_kit.telemetry import context_of, trace_id_of

SECRET = "my card is 4111"


@pytest.fixture
def fresh_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_logged_exception_shows_frames_and_no_message(fresh_logging, capsys) -> None:
    logs.configure("test", "INFO")
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("plain").exception("it failed")
        structlog.get_logger("ours").error("it failed", exc_info=True)
    printed = capsys.readouterr().out
    assert printed.count('"ValueError"') == 2
    assert SECRET not in printed
    assert "test_kit_privacy" in printed


def test_no_more_than_the_rate_is_sampled() -> None:
    limit = RateLimit(10)
    assert 10 <= sum(limit.take() for _ in range(1000)) <= 20


def test_trace_ids_come_from_well_formed_headers_only() -> None:
    assert trace_id_of("00-" + "a" * 32 + "-" + "b" * 16 + "-01") == "a" * 32
    assert trace_id_of("nonsense") is None
    assert trace_id_of(None) is None
    assert not context_of("nonsense")
