"""The embedded Kafka: real node, real topics, data kept, and clear words when Java is missing."""

import asyncio
import os
import signal
import stat
import subprocess
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from headrace_events.topics import CATALOGUE
from headrace_stack.errors import StackError
from headrace_stack.kafka import EmbeddedKafka, create_topics
from headrace_stack.kafka.config import properties
from headrace_stack.kafka.jars import kafka_version, pom
from headrace_stack.kafka.java import find_java

READ_PROPERTIES = """\
public class Read {
  public static void main(String[] arguments) throws Exception {
    var found = new java.util.Properties();
    found.load(new java.io.FileInputStream("a.properties"));
    for (int number = 0; number < found.size(); number++)
      System.out.write((found.getProperty("key" + number) + "\\0").getBytes("UTF-8"));
    System.out.flush();
  }
}
"""


def test_pom_pins_kafka_and_is_the_one_in_infra() -> None:
    assert kafka_version() == "4.3.1"
    in_infra = Path(__file__).parents[3] / "infra" / "kafka" / "pom.xml"
    assert in_infra.read_text() == pom()


def test_no_java_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(StackError) as caught:
        EmbeddedKafka(tmp_path / "home").start()
    for word in ("apt-get install -y openjdk-17", "dnf install", "brew install openjdk"):
        assert word in str(caught.value)
    assert not (tmp_path / "home").exists(), "nothing may be half written"


def test_old_java_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_412\"' >&2\n")
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(StackError, match="is Java 8"):
        find_java()


def test_no_maven_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = find_java()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(java)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(StackError, match="install -y maven"):
        EmbeddedKafka(tmp_path / "home").start()


@pytest.mark.integration
def test_data_and_topics_survive_a_kill_and_a_new_port(tmp_path: Path) -> None:
    topic = CATALOGUE[0].name
    kafka = EmbeddedKafka(tmp_path)
    bootstrap = kafka.start()
    try:
        create_topics(bootstrap)
        create_topics(bootstrap)  # twice is as good as once
        asyncio.run(_produce(bootstrap, topic, b"kept"))
        configs = asyncio.run(_configuration(bootstrap, topic))
        assert configs["cleanup.policy"] == "compact"
        assert configs["min.insync.replicas"] == "1"  # one node: nobody else could be in sync
        assert kafka.pid is not None
        os.kill(kafka.pid, signal.SIGKILL)
        psutil.Process(kafka.pid).wait(10)
    finally:
        kafka.stop()
    (tmp_path / "kafka" / "port").unlink()  # another port than before
    with EmbeddedKafka(tmp_path) as again:
        assert again != bootstrap
        assert asyncio.run(_first(again, topic)) == b"kept"
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(p.info)]


def test_properties_are_what_java_reads(tmp_path: Path) -> None:
    values = ["űr tár %1 #2", "a\\b", " x", "😀=:!", "plain", "a\nb\t"]
    text = properties({f"key{number}": value for number, value in enumerate(values)})
    assert text.isascii()
    assert len(text.splitlines()) == len(values)
    (tmp_path / "a.properties").write_text(text)
    (tmp_path / "Read.java").write_text(READ_PROPERTIES)
    done = subprocess.run(
        [find_java(), "Read.java"], cwd=tmp_path, capture_output=True, check=False
    )
    if b"jdk.compiler" in done.stderr:
        pytest.skip("a JRE alone compiles nothing")
    assert done.stdout.decode().split("\0")[:-1] == values, done.stderr


@pytest.mark.integration
def test_kafka_starts_again_in_a_folder_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    home = tmp_path / "űr tár %1 #2\\"
    topic = CATALOGUE[0].name
    with EmbeddedKafka(home) as bootstrap:
        create_topics(bootstrap)
        asyncio.run(_produce(bootstrap, topic, b"kept"))
    with EmbeddedKafka(home) as bootstrap:
        assert asyncio.run(_first(bootstrap, topic)) == b"kept"
    assert (home / "kafka" / "data" / f"{topic}-0").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [home.name], "its data lie elsewhere"


@pytest.mark.integration
def test_topics_have_the_partitions_of_the_catalogue(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path) as bootstrap:
        create_topics(bootstrap)
        found = asyncio.run(_partitions(bootstrap))
    assert {topic.name: topic.partitions for topic in CATALOGUE} == {
        name: count for name, count in found.items() if name.startswith("headrace.")
    }


async def _produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key=b"k")
    finally:
        await producer.stop()


async def _first(bootstrap: str, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 20)
        return record.value
    finally:
        await consumer.stop()


async def _partitions(bootstrap: str) -> dict[str, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        topics = await admin.describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in topics}
    finally:
        await admin.close()


async def _configuration(bootstrap: str, topic: str) -> dict[str, str]:
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        (response,) = await admin.describe_configs([resource])
        return {entry[0]: entry[1] for entry in response.resources[0][4]}
    finally:
        await admin.close()
