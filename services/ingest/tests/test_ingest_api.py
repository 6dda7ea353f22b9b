"""The HTTP side: files in OpenAI's shape, feedback, views, errors that name the problem."""

import json
from typing import Any

import httpx2
import openai
import pytest


@pytest.fixture
def client(bench: Any) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=bench.service.api)
    return httpx2.AsyncClient(transport=transport, base_url="http://ingest")


CSV = b"text,category\nWhere is my card?,card_arrival\nHol a PIN?,pin\n"


async def upload(client: httpx2.AsyncClient, name: str, content: bytes, **form: str) -> Any:
    return await client.post(
        "/v1/files", files={"file": (name, content)}, data={"purpose": "fine-tune", **form}
    )


async def test_a_file_is_landed(bench: Any, client: httpx2.AsyncClient) -> None:
    await bench.apply("support")
    sent = await upload(client, "q.csv", CSV, workload="support", prompt="text",
                        completion="category")  # fmt: skip
    assert sent.status_code == 200, sent.text
    file = sent.json()
    assert (file["object"], file["bytes"], file["filename"], file["status"]) == (
        "file", len(CSV), "q.csv", "uploaded",
    )  # fmt: skip
    (job,) = await bench.run_jobs()
    assert job.state == "done"
    found = (await client.get(f"/v1/files/{file['id']}")).json()
    assert found["status"] == "processed"
    assert (await client.get(f"/v1/files/{file['id']}/content")).content == CSV
    listed = (await client.get("/v1/files", params={"limit": 1})).json()
    assert (listed["data"], listed["has_more"]) == ([found], False)
    (event,) = await bench.outbox("records.")
    assert json.loads(event.body)["source"] == "file:q.csv"
    assert (await client.get("/records")).json()["data"] == {"support": {"landed": 2}}
    (batch,) = (await client.get("/records/support")).json()["data"]
    assert batch["rows"] == 2
    # The same file once more is another file object and the same batch.
    await upload(client, "q.csv", CSV, workload="support", prompt="text", completion="category")
    await bench.run_jobs()
    assert len(await bench.outbox("records.")) == 1
    assert len(bench.table("raw", "support")) == 2


async def test_a_bad_file_leaves_nothing(bench: Any, client: httpx2.AsyncClient) -> None:
    await bench.apply("support")
    for name, content, expected in (
        ("q.csv", CSV, "missing columns `prompt`, `completion`; the file has `text`, `category`"),
        ("q.parquet", b"PAR1", "not Parquet"),
        ("q.csv", b"", "the file is empty"),
        ("q.csv", "prompt,completion\nő,x\n".encode("cp1250"), "not UTF-8"),
        ("q.exe", b"MZ", "files of type `.exe` are not read"),
    ):
        answer = await upload(client, name, content, workload="support")
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert expected in error["message"]
        assert error["type"] == "invalid_request_error"
    assert (await client.get("/v1/files")).json()["data"] == []
    assert not (bench.root / "files").exists()
    assert await bench.run_jobs() == []


async def test_unknown_workloads_and_files_are_404(client: httpx2.AsyncClient) -> None:
    answer = await upload(client, "q.csv", CSV, workload="nobody")
    assert answer.status_code == 404
    assert "no workload `nobody`" in answer.json()["error"]["message"]
    for path in ("/v1/files/file-1", "/v1/files/file-1/content"):
        assert (await client.get(path)).status_code == 404
    assert (await client.delete("/v1/files/file-1")).status_code == 404


async def test_a_file_is_deleted_with_its_bytes(bench: Any, client: httpx2.AsyncClient) -> None:
    content = b'{"messages": [{"role": "user", "content": "a"}, '
    content += b'{"role": "assistant", "content": "b"}]}\n'
    file = (await upload(client, "q.jsonl", content)).json()
    assert file["status"] == "processed"
    assert (await client.delete(f"/v1/files/{file['id']}")).json()["deleted"] is True
    assert (await client.get(f"/v1/files/{file['id']}/content")).status_code == 404
    assert not list((bench.root / "files" / file["id"]).glob("*.parquet"))


async def test_a_file_that_was_deleted_before_its_job(
    bench: Any, client: httpx2.AsyncClient
) -> None:
    await bench.apply("support")
    file = (await upload(client, "q.csv", CSV, workload="support", prompt="text",
                         completion="category")).json()  # fmt: skip
    await client.delete(f"/v1/files/{file['id']}")
    (job,) = await bench.run_jobs()
    assert job.state == "failed"
    (event,) = await bench.outbox("records.")
    assert (event.type, "deleted before" in event.body.decode()) == ("records.rejected.v1", True)


async def test_feedback(bench: Any, client: httpx2.AsyncClient, outcome: Any) -> None:
    await bench.apply("support")
    unknown = await client.post("/v1/feedback", json={"request_id": "r1", "rating": 1})
    assert unknown.status_code == 404
    assert "send `workload`" in unknown.json()["error"]["message"]
    await bench.handlers.outcomes([outcome(1)])
    body = {"request_id": "r1", "rating": -1, "correction": "titkos javítás"}
    answer = await client.post("/v1/feedback", json=body)
    assert (answer.status_code, answer.json()["workload"]) == (202, "support")
    (event,) = await bench.outbox()
    assert event.type == "feedback.given.v1"
    assert json.loads(event.body)["correction"] == "titkos javítás"
    wrong = await client.post("/v1/feedback", json={"request_id": "r1", "rating": 5})
    assert wrong.status_code == 400


async def test_sources_show_their_state(bench: Any, client: httpx2.AsyncClient) -> None:
    missing = str(bench.folder / "none.csv")
    await bench.apply("support", sources=[{"type": "file", "path": missing}])
    (source,) = (await client.get("/sources")).json()["data"]
    assert source["state"] == "queued"
    await bench.run_jobs()
    (source,) = (await client.get("/sources", params={"workload": "support"})).json()["data"]
    assert (source["state"], "No such file" in source["reason"]) == ("rejected", True)


async def test_a_preview_shows_what_would_be_landed(bench: Any, client: httpx2.AsyncClient) -> None:
    path = bench.folder / "q.csv"
    path.write_bytes(CSV)
    source = {"type": "file", "path": str(path), "prompt": "text", "completion": "category"}
    body = (await client.post("/sources/preview", json=source)).json()
    assert body["rows"] == 2
    assert body["data"][0] == {"prompt": "Where is my card?", "completion": "card_arrival"}
    counted = (await client.post("/sources/preview", params={"shown": 0}, json=source)).json()
    assert counted == {"data": [], "rows": 2}
    limited = (await client.post("/sources/preview", json={**source, "limit": 1})).json()
    assert limited["rows"] == 1
    assert not (bench.root / "raw").exists()
    wrong = await client.post("/sources/preview", json={**source, "completion": "label"})
    assert wrong.status_code == 400
    assert "missing column `label`" in wrong.json()["error"]["message"]
    assert (await client.post("/sources/preview", json={"type": "file"})).status_code == 400


async def test_the_stock_openai_package_uploads(bench: Any, client: httpx2.AsyncClient) -> None:
    await bench.apply("support")
    api = openai.AsyncOpenAI(base_url="http://ingest/v1", api_key="none", http_client=client)
    columns = {"workload": "support", "prompt": "text", "completion": "category"}
    made = await api.files.create(file=("q.csv", CSV), purpose="fine-tune", extra_body=columns)
    assert (made.object, made.bytes) == ("file", len(CSV))
    (job,) = await bench.run_jobs()
    assert job.state == "done"
    assert (await api.files.retrieve(made.id)).status == "processed"
    assert [file.id async for file in api.files.list()] == [made.id]
    assert (await api.files.content(made.id)).content == CSV
    with pytest.raises(openai.BadRequestError, match="missing columns `prompt`, `completion`"):
        await api.files.create(file=("q.csv", CSV), purpose="fine-tune")
    assert (await api.files.delete(made.id)).deleted
