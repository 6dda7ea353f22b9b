"""Kafka's jars: fetched once by Maven from the pinned pom, then taken from the cache."""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from importlib.resources import files
from pathlib import Path

from headrace_stack.errors import StackError
from headrace_stack.kafka.java import find_maven
from headrace_stack.paths import CACHE_VARIABLE, cache_folder

FETCH_SECONDS = 600
NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}


def pom() -> str:
    """The pinned Maven project, which travels inside this package."""
    return files("headrace_stack.kafka").joinpath("pom.xml").read_text()


def kafka_version() -> str:
    """The version of Kafka that the pom pins."""
    # Our own file, not input.
    root = ET.fromstring(pom())  # noqa: S314
    version = root.findtext("m:properties/m:kafka.version", namespaces=NAMESPACE)
    if version is None:
        raise StackError("The pom of the embedded Kafka names no kafka.version. Reinstall.")
    return version


def ensure_jars() -> Path:
    """The folder with Kafka's jars; fetches them when the cache has none for this very pom."""
    folder = cache_folder() / "kafka" / kafka_version()
    stamp = hashlib.sha256(pom().encode()).hexdigest()
    stamp_file = folder / "pom.sha256"
    if _is_current(stamp_file, stamp):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f"{folder.name}.lock").open("w")
    except OSError as error:
        raise StackError(
            f"Kafka's jars are to be kept in {folder.parent}, which cannot be written "
            f"({error.strerror}). Set {CACHE_VARIABLE} to a folder that can."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two stacks may start for the first time side by side
        if not _is_current(stamp_file, stamp):
            _fetch(folder, stamp)
    return folder


def _is_current(stamp_file: Path, stamp: str) -> bool:
    return stamp_file.is_file() and stamp_file.read_text() == stamp


def _fetch(folder: Path, stamp: str) -> None:
    maven = find_maven()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as scratch:
        project = Path(scratch, "pom.xml")
        project.write_text(pom())
        jars = Path(scratch, "jars")
        command = [maven, "--batch-mode", "--quiet", "--file", str(project)]
        command += ["dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise StackError(
                f"Maven did not fetch Kafka's jars in {FETCH_SECONDS} s. "
                "Check the connection to Maven Central (or your mirror in ~/.m2/settings.xml)."
            ) from error
        if done.returncode or not list(jars.glob("kafka_*.jar")):
            output = (done.stdout + done.stderr).strip()[-2000:]
            raise StackError(
                "Maven could not fetch Kafka's jars. Check the connection to Maven Central "
                f"(or your mirror in ~/.m2/settings.xml). Maven said:\n{output}"
            )
        (jars / "pom.sha256").write_text(stamp)
        shutil.rmtree(folder, ignore_errors=True)
        jars.rename(folder)
