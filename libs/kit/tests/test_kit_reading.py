"""Reading takes no lock: it neither waits for a writer nor keeps one waiting."""

import asyncio

import pytest
from sqlalchemy import insert, select

from headrace_kit.database import Database, WorkloadRow


@pytest.fixture
async def database(database_url: str):
    found = Database(database_url)
    await found.create()
    async with found.transaction() as session:
        session.add(WorkloadRow(name="w", revision="1", manifest={}))
    yield found
    await found.close()


async def revision(database: Database) -> str:
    async with database.reading() as session:
        row = await session.get(WorkloadRow, "w")
        assert row is not None
        return row.revision


async def test_a_reader_does_not_wait_for_a_writer(database) -> None:
    async with database.transaction() as session:
        row = await session.get(WorkloadRow, "w", with_for_update=True)
        row.revision = "2"
        await session.flush()
        assert await asyncio.wait_for(revision(database), 2) == "1"
    assert await revision(database) == "2"


async def test_a_writer_does_not_wait_for_a_reader_who_sees_one_moment(database) -> None:
    async with database.reading() as reader:
        row = await reader.get(WorkloadRow, "w")
        assert row is not None and row.revision == "1"
        async with asyncio.timeout(2), database.transaction() as session:
            changed = await session.get(WorkloadRow, "w")
            changed.revision = "2"
    assert await revision(database) == "2"


async def test_reading_refuses_locks_and_changes(database) -> None:
    with pytest.raises(RuntimeError, match="neither locks nor changes"):
        async with database.reading() as session:
            await session.get(WorkloadRow, "w", with_for_update=True)
    with pytest.raises(RuntimeError, match="neither locks nor changes"):
        async with database.reading() as session:
            await session.scalars(select(WorkloadRow).with_for_update())
    with pytest.raises(RuntimeError, match="neither locks nor changes"):
        async with database.reading() as session:
            await session.execute(insert(WorkloadRow).values(name="x", revision="1", manifest={}))
    with pytest.raises(RuntimeError, match="neither locks nor changes"):
        async with database.reading() as session:
            row = await session.get(WorkloadRow, "w")
            row.revision = "3"
    assert await revision(database) == "1"
