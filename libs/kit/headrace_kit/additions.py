"""Adds to a database of an older release what this one's tables have more: columns, indexes.

Only what cannot hurt: a column that may be null, an index. The older release goes on working with
them, so both may run at the same time. Everything else needs a migration.
"""

from sqlalchemy import Column, Connection, MetaData, Table, inspect, text
from sqlalchemy.schema import CreateColumn

# Two replicas that start at once would both find a table missing. The number is arbitrary.
_LOCK = text("SELECT pg_advisory_xact_lock(4714711)")


class SchemaTooOld(RuntimeError):
    """The database lacks what cannot be added beside a running older release."""


def create_and_add(connection: Connection, metadata: MetaData) -> set[str]:
    """Create missing tables, then add missing columns and indexes; return `table.column` of each.

    Raises SchemaTooOld where a column is missing that may not be null.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK)
    metadata.create_all(connection)
    return {name for table in metadata.sorted_tables for name in _add(connection, table)}


def _add(connection: Connection, table: Table) -> list[str]:
    found = inspect(connection)
    there = {column["name"] for column in found.get_columns(table.name)}
    missing = [column for column in table.columns if column.name not in there]
    for column in missing:
        _add_column(connection, table, column)
    indexes = {index["name"] for index in found.get_indexes(table.name)}
    for index in table.indexes:
        if index.name not in indexes:
            index.create(connection)
    return [f"{table.name}.{column.name}" for column in missing]


def _add_column(connection: Connection, table: Table, column: "Column[object]") -> None:
    if not column.nullable and column.server_default is None:
        raise SchemaTooOld(
            f"{table.name} lacks the column {column.name}, which has no value for old rows"
        )
    prepare = connection.dialect.identifier_preparer
    described = CreateColumn(column).compile(dialect=connection.dialect)
    connection.execute(text(f"ALTER TABLE {prepare.format_table(table)} ADD COLUMN {described}"))
