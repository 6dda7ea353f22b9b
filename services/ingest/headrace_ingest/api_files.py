"""HTTP: files in OpenAI's shape."""

import asyncio
from datetime import datetime
from pathlib import PurePath
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, Response, UploadFile
from sqlalchemy import select

from headrace_events import new_id
from headrace_events.data import FileDeleted, FileUploaded
from headrace_events.text import Text, as_name
from headrace_ingest.adapters import file_store
from headrace_ingest.adapters.files import Columns, read_rows
from headrace_ingest.adapters.tables import FileRow
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.jobs import KIND
from headrace_ingest.settings import Settings
from headrace_kit import Service, UnitOfWork, problems

_PAGE = 100
_LONGEST_NAME = 200
_FORM_BYTES = 64 * 1024
"""What the parts of a form have beside the file."""
UNNAMED = "headrace"
"""The key of events about files of no workload."""


def problem(
    status: int, message: str, param: str | None = None, code: str | None = None
) -> Response:
    """Return an error in OpenAI's shape."""
    return problems.problem(status, message, param=param, code=code)


def file_object(row: FileRow) -> dict[str, Any]:
    """Return OpenAI's File object, with the workload beside it."""
    return {
        "id": row.file_id,
        "object": "file",
        "bytes": row.size,
        "created_at": int(row.created_at.timestamp()),
        "filename": row.filename,
        "purpose": row.purpose,
        "status": row.state,
        "status_details": row.reason,
        "workload": row.workload,
    }


def file_row(uploaded: FileUploaded, at: datetime) -> FileRow:
    """Return the row of a file that was just uploaded."""
    return FileRow(
        **uploaded.model_dump(),
        state="uploaded" if uploaded.workload else "processed",
        reason=None,
        created_at=at,
    )


class FilesApi:
    """The routes under /v1/files."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self._service = service
        self._root = settings.storage.root
        self._max_bytes = settings.max_file_bytes

    def add_to(self, api: APIRouter) -> None:
        """Add the routes."""
        self._service.body_limits.allow("/v1/files", self._max_bytes + _FORM_BYTES)
        for path, handler, method in (
            ("/v1/files", self.upload, "POST"),
            ("/v1/files", self.list, "GET"),
            ("/v1/files/{file_id}", self.get, "GET"),
            ("/v1/files/{file_id}/content", self.content, "GET"),
            ("/v1/files/{file_id}", self.delete, "DELETE"),
        ):
            api.add_api_route(path, handler, methods=[method], tags=["files"], response_model=None)

    async def upload(
        self,
        file: Annotated[UploadFile, File()],
        purpose: Annotated[Text, Form(min_length=1, max_length=64)],
        workload: Annotated[Text | None, Form(max_length=_LONGEST_NAME)] = None,
        prompt: Annotated[Text, Form(min_length=1, max_length=_LONGEST_NAME)] = "prompt",
        completion: Annotated[Text, Form(min_length=1, max_length=_LONGEST_NAME)] = "completion",
    ) -> dict[str, Any] | Response:
        """Take a file; with a `workload` its rows are landed for it."""
        if workload and self._service.workloads.get(workload) is None:
            return problem(404, f"no workload `{workload}`: apply its manifest first", "workload")
        content = await file.read(self._max_bytes + 1)
        if len(content) > self._max_bytes:
            return problem(413, f"the file has more than {self._max_bytes} bytes", "file")
        name = as_name(PurePath(file.filename or "").name) or "upload"
        if workload or purpose == "fine-tune":
            try:
                await asyncio.to_thread(read_rows, name, content, Columns(prompt, completion))
            except UnreadableSource as error:
                return problem(400, error.reason, error.param, "unreadable_file")
        uploaded = FileUploaded(
            file_id=f"file-{new_id().replace('-', '')}",
            filename=name,
            purpose=purpose,
            size=len(content),
            workload=workload,
            prompt=prompt,
            completion=completion,
        )
        await asyncio.to_thread(file_store.store, self._root, uploaded.file_id, content)
        async with self._service.unit_of_work(workload=workload or UNNAMED) as uow:
            event = uow.emit(uploaded, subject=uploaded.file_id)
            row = file_row(uploaded, event.time)
            uow.session.add(row)
            if workload:
                await _enqueue(uow, row, workload)
        return file_object(row)

    async def list(
        self, purpose: str | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = _PAGE
    ) -> dict[str, Any]:
        """List files, newest first."""
        query = select(FileRow).order_by(FileRow.created_at.desc()).limit(limit + 1)
        if purpose:
            query = query.where(FileRow.purpose == purpose)
        async with self._service.reading() as session:
            rows = (await session.scalars(query)).all()
        data = [file_object(row) for row in rows[:limit]]
        return {"object": "list", "data": data, "has_more": len(rows) > limit}

    async def get(self, file_id: str) -> dict[str, Any] | Response:
        """Return one file's object."""
        async with self._service.reading() as session:
            row = await session.get(FileRow, file_id)
        return file_object(row) if row else _not_found(file_id)

    async def content(self, file_id: str) -> Response:
        """Return a file's bytes."""
        async with self._service.reading() as session:
            row = await session.get(FileRow, file_id)
        found = await asyncio.to_thread(file_store.load, self._root, file_id) if row else None
        if found is None:
            return _not_found(file_id)
        return Response(found, media_type="application/octet-stream")

    async def delete(self, file_id: str) -> dict[str, Any] | Response:
        """Delete a file; the rows that were landed from it stay."""
        async with self._service.unit_of_work() as uow:
            row = await uow.session.get(FileRow, file_id)
            if row:
                uow.emit(FileDeleted(file_id=file_id), workload=row.workload or UNNAMED)
                await uow.session.delete(row)
        if row is None:
            return _not_found(file_id)
        await asyncio.to_thread(file_store.delete, self._root, file_id)
        return {"id": file_id, "object": "file", "deleted": True}


def _not_found(file_id: str) -> Response:
    return problem(404, f"no file `{file_id}`", "file_id")


async def _enqueue(uow: UnitOfWork, row: FileRow, workload: str) -> None:
    payload = {
        "type": "file",
        "file_id": row.file_id,
        "filename": row.filename,
        "prompt": row.prompt,
        "completion": row.completion,
        "name": f"file:{row.filename}",
    }
    await uow.enqueue(KIND, f"file/{row.file_id}", payload, workload=workload)
