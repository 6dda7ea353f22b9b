"""The configuration of one thrifty KRaft node, broker and controller in one JVM."""

from collections.abc import Mapping
from pathlib import Path

from headrace_stack.ports import HOST

# Measured with ENGINES.md's notes: enough heap for thousands of small messages per second;
# C1 only and the serial collector keep the JVM small and its start short.
JVM_FLAGS = (
    "-Xms64m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=48m",
    "-XX:MaxMetaspaceSize=160m",
    "-Xss512k",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
)

# Java takes the encoding of file names from the locale; no flag of its own changes it.
JAVA_ENVIRONMENT = {"LC_ALL": "C.UTF-8"}

LOGGING = """\
status = error
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.stdout.ref = stdout
"""


def server_properties(data: Path, port: int, controller_port: int) -> str:
    """The properties file of a node on the loopback."""
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        # Voters by configuration, not by the log: the ports may differ at the next start.
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": data,
        "auto.create.topics.enable": "false",
        "num.partitions": 1,
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 2,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        # One node: nobody to hand partitions over to, and nobody to wait for.
        "controlled.shutdown.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "num.recovery.threads.per.data.dir": 1,
        "background.threads": 2,
        # The default buffer of the log cleaner alone is 128 MiB.
        "log.cleaner.threads": 1,
        "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
        "log.cleaner.io.buffer.size": 128 * 1024,
        "log.segment.bytes": 64 * 1024 * 1024,
        "log.index.size.max.bytes": 1024 * 1024,
        "metadata.log.segment.bytes": 16 * 1024 * 1024,
        # A consumer that was killed is noticed soon, yet a busy machine loses none.
        "group.min.session.timeout.ms": 1000,
    }
    return properties(settings)


def properties(settings: Mapping[str, object]) -> str:
    """Return a Java properties file, in ASCII: Java reads one as Latin-1 with escapes."""
    return "".join(f"{key}={_escaped(str(value))}\n" for key, value in settings.items())


def _escaped(value: str) -> str:
    units = value.encode("utf-16-be", "surrogatepass")
    codes = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
    text = "".join(chr(c) if 0x20 <= c < 0x7F and c != 0x5C else f"\\u{c:04x}" for c in codes)
    # Blanks before a value are passed over.
    return f"\\{text}" if text.startswith(" ") else text
