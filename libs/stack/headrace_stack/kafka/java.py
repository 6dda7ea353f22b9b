"""Find Java and Maven, or say exactly what to install."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from headrace_stack.errors import StackError

OLDEST_JAVA = 17
INSTALL = """Install it, then try again:
  Debian/Ubuntu: sudo apt-get install -y {debian}
  Fedora/RHEL:   sudo dnf install -y {fedora}
  macOS:         brew install {brew}"""
INSTALL_JAVA = INSTALL.format(
    debian="openjdk-17-jre-headless", fedora="java-latest-openjdk-headless", brew="openjdk"
)
INSTALL_MAVEN = INSTALL.format(debian="maven", fedora="maven", brew="maven")


def find_java() -> str:
    """The path of a Java of version 17 or newer: that of JAVA_HOME, or of the PATH."""
    home = os.environ.get("JAVA_HOME")
    in_home = Path(home, "bin", "java") if home else None
    # A keg-only Homebrew JDK is not on the PATH.
    kegs = [Path(p, "opt/openjdk/bin/java") for p in ("/opt/homebrew", "/usr/local")]
    candidates = [in_home, shutil.which("java"), *kegs]
    for java in candidates:
        if java and Path(java).exists():
            version = _version(str(java))
            if version is None:
                continue  # macOS ships a `java` that only says there is no Java
            if version < OLDEST_JAVA:
                raise StackError(
                    f"Kafka needs Java {OLDEST_JAVA} or newer; {java} is Java {version}. "
                    + INSTALL_JAVA
                )
            return str(java)
    raise StackError(
        f"Kafka needs Java {OLDEST_JAVA} or newer, and there is no `java` on the PATH. "
        + INSTALL_JAVA
    )


def find_maven() -> str:
    """The path of Maven, which fetches Kafka's jars once."""
    maven = shutil.which("mvn")
    if maven is None:
        raise StackError(
            "Kafka's jars are not in the cache, and there is no Maven (`mvn`) to fetch them. "
            + INSTALL_MAVEN
        )
    return maven


def _version(java: str) -> int | None:
    try:
        done = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(\d+)(?:\.(\d+))?', done.stderr + done.stdout)
    if not found:
        return None
    major = int(found[1])
    return int(found[2] or 0) if major == 1 else major  # Java 8 calls itself 1.8
