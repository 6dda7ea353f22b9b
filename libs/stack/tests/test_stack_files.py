"""State file, logs and manifests: what is written whole, kept small, and refused whole."""

import itertools
import threading
from pathlib import Path

import psutil
import pytest

from headrace_stack import logs, manifests
from headrace_stack.state import Part, State, live_state, read_state

MANIFEST = """\
apiVersion: headrace/v1
kind: Workload
metadata: {name: intents, owner: cards}
spec:
  data: {sources: [{type: file, path: rows.csv, prompt: text, completion: label}]}
"""


def test_state_file_is_never_half_written(tmp_path: Path) -> None:
    state = State(stack_id="x", home=str(tmp_path), parts=[Part(name="a", kind="service")] * 50)
    state.write()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            state.write()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            assert read_state(tmp_path) == state
    finally:
        stop.set()
        writer.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state.json"]


def test_state_of_a_dead_or_foreign_supervisor_is_not_live(tmp_path: Path) -> None:
    me = psutil.Process()
    state = State(stack_id="x", home=str(tmp_path), supervisor_pid=me.pid)
    state.supervisor_created = me.create_time()
    state.write()
    assert live_state(tmp_path) is not None
    state.supervisor_created -= 3600  # the pid is another process's by now
    state.write()
    assert live_state(tmp_path) is None
    assert live_state(tmp_path / "elsewhere") is None


def test_log_is_cut_while_the_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"x" * 5000 + b"\nlast line\n")
        logs.bound(path, max_bytes=1000)
        assert path.stat().st_size == 0
        writer.write(b"next line\n")
    assert path.read_bytes() == b"next line\n"
    old = path.with_suffix(".log.1").read_bytes()
    assert len(old) == 1000
    assert old.endswith(b"last line\n")


def test_follow_gives_whole_new_lines_also_after_a_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"old\n")
    lines = logs.follow({"a": path}, pause=0.01)
    timer = threading.Timer(0.1, lambda: path.write_bytes(b"old\nnew\nhal"))
    timer.start()
    assert list(itertools.islice(lines, 1)) == [("a", "new")]
    timer = threading.Timer(0.1, lambda: path.write_bytes(b"cut\n"))
    timer.start()
    assert next(lines) == ("a", "cut")
    timer.join()


def test_tail_of_nothing(tmp_path: Path) -> None:
    assert logs.tail(tmp_path / "none.log", 5) == []


def test_manifest_paths_are_those_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na,b\n")
    (tmp_path / "workload.yaml").write_text(MANIFEST)
    loaded = manifests.load(tmp_path / "workload.yaml")
    assert loaded.spec.data.sources[0].path == str(tmp_path / "rows.csv")


def test_a_base_beside_the_manifest_is_found_from_there(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na,b\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "workload.yaml").write_text(MANIFEST + "  base: ./model\n")
    assert manifests.load(tmp_path / "workload.yaml").spec.base == str(tmp_path / "model")


def test_every_wrong_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "workload.yaml"
    path.write_text(
        MANIFEST.replace("kind: Workload", "kind: Job").replace("owner: cards", "owner: 7")
        + "  train: {rank: 0, epochz: 3}\n"
    )
    with pytest.raises(manifests.InvalidManifest) as caught:
        manifests.load(path)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    for field in ("kind: ", "metadata.owner: ", "spec.train.rank: ", "spec.train.epochz: "):
        assert field in message
    assert "there is no such field" in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (MANIFEST, "no file at"),
        ("just words", "holds no mapping"),
        ("a: [1, 2", "is not YAML"),
        ("apiVersion: headrace/v1\nkind: Workload\n", "metadata: Field required"),
    ],
)
def test_other_bad_manifests(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "workload.yaml"
    path.write_text(text)
    with pytest.raises(manifests.InvalidManifest, match=says):
        manifests.load(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("owner: cards", f"owner: {'x' * 300}", "metadata.owner: 300 characters"),
        ("owner: cards", 'owner: "a\\0b"', "metadata.owner: the text holds a zero"),
        ("rows.csv", "x" * 5000, "sources.0.path: 5000 characters"),
        ("rows.csv", '"a\\0b"', "sources.0.path: the text holds a zero"),
        ("spec:", f"spec:\n  system: {'x' * 100_001}", "spec.system: 100001 characters"),
        ("spec:", f"spec:\n  # {'x' * 300_000}", "more than 262144 bytes"),
    ],
)
def test_a_manifest_has_bounds(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in MANIFEST
    path = tmp_path / "workload.yaml"
    path.write_text(MANIFEST.replace(old, new, 1))
    with pytest.raises(manifests.InvalidManifest, match=says):
        manifests.load(path)


def test_a_manifest_of_very_many_sources_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "workload.yaml"
    listed = ", ".join("{type: python_docs}" for _ in range(101))
    path.write_text(
        "{apiVersion: headrace/v1, kind: Workload, metadata: {name: w}, "
        f"spec: {{data: {{sources: [{listed}]}}}}}}"
    )
    with pytest.raises(manifests.InvalidManifest, match="sources: 101, at most 100"):
        manifests.load(path)


def test_an_unknown_base_is_refused_before_anything_trains_on_it(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na,b\n")
    path = tmp_path / "workload.yaml"
    path.write_text(MANIFEST + "  base: smollm9\n")
    with pytest.raises(manifests.InvalidManifest, match=r"spec\.base: unknown model.*give one of"):
        manifests.load(path)


def test_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(manifests.InvalidManifest, match="Cannot read"):
        manifests.load(tmp_path / "none.yaml")
