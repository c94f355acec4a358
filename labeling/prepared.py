"""Queries that are put together once in each thread, and asked again with other values.

To put a query together takes Django four to ten times as long as SQLite takes to answer, and each
step of a labeler asks a dozen of them. What differs from one asking to the next stands in the query
as `Given`. Only for what every next prompt and every submission asks: elsewhere a plain queryset
reads better. Knows nothing of what is asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Expression, Field, Model, QuerySet
from django.db.models.sql import UpdateQuery
from django.db.models.sql.compiler import SQLCompiler

Row = TypeVar("Row")
AnyModel = TypeVar("AnyModel", bound=Model)


class Given(Expression):
    """In the place of a value that comes with each asking.

    name: the keyword of the asking. field: of which kind the value is, where the database does not
    take it as Python has it (moments, days, UUIDs). Rows are given by their primary key. None never
    equals anything, as in SQL.
    """

    def __init__(self, name: str, field: Field[Any, Any] | None = None) -> None:
        """See the class."""
        super().__init__(output_field=field)
        self.name, self.kind = name, field

    def as_sql(  # type: ignore[override]  # a list, as Django's own Value has it
        self, _compiler: SQLCompiler, _connection: BaseDatabaseWrapper
    ) -> tuple[str, list[Any]]:
        """A parameter that stands for itself until its value is known."""
        return "%s", [self]

    def among(self, given: Mapping[str, Any], connection: BaseDatabaseWrapper) -> Any:
        """Its value, as the database takes it. Raises KeyError where it was not given."""
        value = given[self.name]
        return value if self.kind is None else self.kind.get_db_prep_value(value, connection)


class _Put:
    """A query as it was put together for one connection, of which each thread has its own."""

    def __init__(self, connection: BaseDatabaseWrapper, query: Any, columns: list[Any]) -> None:
        """columns: those of the answer; empty: those that the query selects."""
        self.connection = connection
        self.compiler: Any = query.get_compiler(connection=connection)
        self.sql, self.params = self.compiler.as_sql()
        columns = columns or [column for column, _sql, _alias in self.compiler.select]
        self.converters = self.compiler.get_converters(columns)

    def with_values(self, given: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """What one asking sends."""
        return self.sql, [
            one.among(given, self.connection) if isinstance(one, Given) else one
            for one in self.params
        ]


class _OfThread(threading.local):
    """What a thread has put together."""

    put: _Put | None = None
    queryset: Any = None


class Prepared(Generic[Row]):
    """A queryset to be asked again: for rows, also with `select_related`, or for values.

    build: gives it, and is called once a thread.
    """

    def __init__(self, build: Callable[[], QuerySet[Any, Row]]) -> None:
        """Nothing is put together before the first asking."""
        self._build = build
        self._mine = _OfThread()

    def all(self, **given: Any) -> list[Row]:
        """The rows, with these values."""
        mine, connection = self._mine, connections[DEFAULT_DB_ALIAS]
        if mine.put is None or mine.put.connection is not connection:
            mine.queryset = self._build()
            mine.put = _of_queryset(mine.queryset, connection)
        answer = mine.put.with_values(given)
        mine.put.compiler.as_sql = lambda *_args, **_kwargs: answer
        return list(mine.queryset.all())

    def first(self, **given: Any) -> Row | None:
        """The first row; None where there is none. How many are read is for the queryset to say."""
        return next(iter(self.all(**given)), None)


def _of_queryset(queryset: Any, connection: BaseDatabaseWrapper) -> _Put:
    """From here on `queryset` asks a compiler that has done its work already."""
    put = _Put(connection, queryset.query, [])
    put.compiler.get_converters = lambda _columns: put.converters
    queryset.query.get_compiler = lambda *_args, **_kwargs: put.compiler
    return put


class PreparedUpdate(Generic[AnyModel]):
    """An UPDATE to be run again. It answers with the rows that it changed, as they are now.

    rows, values: as for `QuerySet.update`; each is called once a thread.
    """

    def __init__(
        self,
        rows: Callable[[], QuerySet[AnyModel]],
        values: Callable[[], Mapping[str, Any]],
    ) -> None:
        """Nothing is put together before the first run."""
        self._rows, self._values = rows, values
        self._mine = _OfThread()

    def run(self, **given: Any) -> list[AnyModel]:
        """Change them, with these values."""
        mine, connection = self._mine, connections[DEFAULT_DB_ALIAS]
        if mine.put is None or mine.put.connection is not connection:
            mine.queryset = self._rows()
            mine.put = _of_update(mine.queryset, self._values(), connection)
        put, model = mine.put, mine.queryset.model
        with (
            transaction.mark_for_rollback_on_error(DEFAULT_DB_ALIAS),
            connection.cursor() as cursor,
        ):
            cursor.execute(*put.with_values(given))
            found = cursor.fetchall()
        names = [field.attname for field in _fields(model)]
        rows = put.compiler.apply_converters(found, put.converters) if put.converters else found
        return [model.from_db(DEFAULT_DB_ALIAS, names, row) for row in rows]


def _fields(model: type[Model]) -> list[Field[Any, Any]]:
    return list(model._meta.concrete_fields)  # noqa: SLF001 - Django's documented API


def _of_update(queryset: Any, values: Mapping[str, Any], connection: BaseDatabaseWrapper) -> _Put:
    """The UPDATE, and the columns that it returns."""
    query = queryset.query.chain(UpdateQuery)
    query.add_update_values(values)
    query.clear_select_clause()
    table = queryset.model._meta.db_table  # noqa: SLF001 - as above
    put = _Put(connection, query, [one.get_col(table) for one in _fields(queryset.model)])
    names = [connection.ops.quote_name(str(one.column)) for one in _fields(queryset.model)]
    put.sql += f" RETURNING {', '.join(names)}"
    return put
