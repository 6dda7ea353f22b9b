"""Prepare, start, watch and stop one Kafka node."""

import contextlib
import os
import socket
import struct
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from types import TracebackType

import psutil

from headrace_stack.errors import StackError
from headrace_stack.kafka.config import JAVA_ENVIRONMENT, JVM_FLAGS, LOGGING, server_properties
from headrace_stack.kafka.jars import ensure_jars
from headrace_stack.kafka.java import find_java
from headrace_stack.paths import stack_id
from headrace_stack.ports import HOST, check_free, free_port, is_free
from headrace_stack.processes import child_environment, family, spawn, stop_all

READY_SECONDS = 60.0
API_VERSIONS_KEY = 18


class KafkaNode:
    """The files and the command line of the node in `<home>/kafka`; it starts nothing itself."""

    def __init__(self, home: Path, port: int | None = None) -> None:
        self.folder = home.resolve() / "kafka"
        self._wanted_port = port
        self.port = 0

    @property
    def bootstrap(self) -> str:
        """What clients connect to."""
        return f"{HOST}:{self.port}"

    def prepare(self) -> list[str]:
        """Choose ports, write the configuration, format the data once; the command to run."""
        # Kafka takes its setting for a list at each comma, Java its own at each colon.
        if "," in str(self.folder):
            raise StackError(
                f"Kafka's data cannot lie in {self.folder}: its path has a comma. Choose another "
                "folder with HEADRACE_HOME."
            )
        java, jars = find_java(), ensure_jars()
        if ":" in str(jars):
            raise StackError(
                f"Java cannot load Kafka from {jars}: its path has a colon. Choose another folder "
                "with HEADRACE_CACHE."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self._choose_port()
        data = self.folder / "data"
        properties = self.folder / "server.properties"
        properties.write_text(server_properties(data, self.port, free_port({self.port})))
        logging = self.folder / "log4j2.properties"
        logging.write_text(LOGGING)
        # Log4j takes the setting for a URI, and for a list at each comma.
        flag = f"-Dlog4j2.configurationFile={logging.as_uri()}"
        command = [java, *JVM_FLAGS, flag, "-cp", f"{jars}/*"]
        if not (data / "meta.properties").exists():
            self._format(command, properties)
        return [*command, "kafka.Kafka", str(properties)]

    def _choose_port(self) -> int:
        """The port that was asked for, else the one of the last start, else any free one."""
        if self._wanted_port is not None:
            check_free(self._wanted_port, "Kafka", "choose another with --kafka-port")
            return self._wanted_port
        last = self.folder / "port"
        known = int(last.read_text()) if last.exists() else 0
        port = known if known and is_free(known) else free_port()
        last.write_text(str(port))
        return port

    def _format(self, java_command: list[str], properties: Path) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        command = [*java_command, "kafka.tools.StorageTool", "format"]
        # `--cluster-id=` in one word, for an id may begin with a dash.
        command += [f"--cluster-id={cluster}", "--config", str(properties)]
        done = subprocess.run(
            command,
            env={**os.environ, **JAVA_ENVIRONMENT},
            capture_output=True,
            text=True,
            timeout=READY_SECONDS,
            check=False,
        )
        if done.returncode:
            raise StackError(f"Kafka could not format its data folder: {done.stderr[-2000:]}")

    def answers(self) -> bool:
        """Whether the broker answers the first request of every client (ApiVersions v0)."""
        request = struct.pack(">hhih", API_VERSIONS_KEY, 0, 1, -1)
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1) as sock:
            sock.settimeout(2)
            sock.sendall(struct.pack(">i", len(request)) + request)
            return len(sock.recv(8)) > 0
        return False


class EmbeddedKafka:
    """A real Kafka for a test or a notebook: `with EmbeddedKafka(folder) as bootstrap: ...`."""

    def __init__(self, home: Path, port: int | None = None) -> None:
        self._home = home
        self._node = KafkaNode(home, port)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the JVM while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> str:
        """Start the node and wait until it answers; returns the bootstrap servers."""
        command = self._node.prepare()
        log = self._home / "logs" / "kafka.log"
        self._process = spawn(
            command, child_environment(stack_id(self._home), **JAVA_ENVIRONMENT), log
        )
        deadline = time.monotonic() + READY_SECONDS
        while not self._node.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise StackError(f"Kafka did not start. Its log says why: {log}")
            time.sleep(0.05)
        return self._node.bootstrap

    def stop(self) -> None:
        """Stop the node; its data stay for the next start."""
        if self._process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            stop_all(family(psutil.Process(self._process.pid)))
        self._process.wait()
        self._process = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
