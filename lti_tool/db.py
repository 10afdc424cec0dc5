"""The database: engine, transactions, the declarative base and the column types that every table shares."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Engine,
    Enum,
    Integer,
    MetaData,
    TypeDecorator,
    create_engine,
    event,
    inspect,
    make_url,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class NameOrder(GenericFunction[str]):
    """What names are sorted by: capitals or not; accents on SQLite, on PostgreSQL as its collation says."""

    name = "name_order"
    inherit_cache = True


@compiles(NameOrder, "postgresql")
def _postgresql_order(element: NameOrder, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


Json = JSON().with_variant(JSONB(), "postgresql")
Waker = Callable[[str, int, datetime | None], None]
Row = TypeVar("Row", bound="Base")
Item = TypeVar("Item")
# As many as every database takes in one list.
CHUNK = 500
# A fault of the database is logged without the values of its statement: they are names and addresses.
QUIET: dict[str, Any] = {"hide_parameters": True}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC moment; SQLite, which keeps no zone, gets it without and gives it back with."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a moment without a time zone was given to the database")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def choice(kind: type[StrEnum]) -> Enum:
    """A column type that keeps an enumeration as its text."""
    return Enum(kind, native_enum=False, length=30, values_callable=lambda members: [m.value for m in members])


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar = {
        int: BigInteger().with_variant(Integer(), "sqlite"),
        datetime: UtcDateTime,
        dict[str, Any]: Json,
        list[str]: Json,
        list[dict[str, Any]]: Json,
    }


class Database:
    """One database: `write()` and `read()` open a transaction that ends with the block."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        immediate = self.engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
        self._write = sessionmaker(immediate, expire_on_commit=False)
        self._read = sessionmaker(self.engine, expire_on_commit=False, autoflush=False)
        self.waker: Waker = lambda kind, row_id, at: None

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose caller commits; after a commit the rows named by `wake` are announced to the queue."""
        with self._write() as session:
            event.listen(session, "after_commit", self._announce)
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading only; whatever was changed in it is thrown away."""
        with self._read() as session:
            yield session

    def _announce(self, session: Session) -> None:
        for (kind, row_id), at in session.info.pop("wake", {}).items():
            self.waker(kind, row_id, at)

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def wake(session: Session, kind: str, row_id: int, at: datetime | None = None) -> None:
    """Ask that after the commit (or at a moment) a worker looks at a row; the row is the truth, this is a hint."""
    session.info.setdefault("wake", {})[(kind, row_id)] = at


def insert_if_absent(session: Session, model: type[Base], key: dict[str, Any], **values: Any) -> bool:
    """Insert a row unless one has this unique key; whether it was inserted. Safe when several try at once."""
    return bool(insert_all_absent(session, model, list(key), [key | values]))


def insert_all_absent(session: Session, model: type[Base], key: list[str], rows: list[dict[str, Any]]) -> list[int]:
    """Insert the rows of which there is none with the same unique key; the ids of those that were inserted."""
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    statement = insert(model).on_conflict_do_nothing(index_elements=key)
    # Not by the row count: PostgreSQL's driver does not tell it for such an insert.
    inserted = statement.returning(*inspect(model).primary_key)
    return list(session.connection().execute(inserted, rows).scalars())


def get_or_create(session: Session, model: type[Row], key: dict[str, Any], **defaults: Any) -> Row:
    """The row with this unique key, made with `defaults` when absent, and locked until the transaction ends."""
    session.flush()
    insert_if_absent(session, model, key, **defaults)
    # Not kept from being named by new rows: who stores results of a locked person need not wait.
    return session.scalars(select(model).filter_by(**key).with_for_update(key_share=True)).one()


def get_or_create_all(
    session: Session,
    model: type[Row],
    key: dict[str, Any],
    by: str,
    values: Iterable[Any],
    defaults: dict[str, Any],
    *,
    locked: bool = True,
) -> dict[Any, Row]:
    """What `get_or_create` does, for many rows that have a part of their unique key in common; by its other part.

    In one order for everybody, so that two who do this never wait for each other.
    """
    session.flush()
    column = getattr(model, by)
    found: dict[Any, Row] = {}
    for some in chunks(sorted(set(values))):
        query = select(model).filter_by(**key).where(column.in_(some)).order_by(column)
        query = query.with_for_update(key_share=True) if locked else query
        rows = session.scalars(query).all()
        if len(rows) < len(some):
            known = {getattr(row, by) for row in rows}
            new = [key | {by: value} | defaults for value in some if value not in known]
            insert_all_absent(session, model, [*key, by], new)
            rows = session.scalars(query).all()
        found |= {getattr(row, by): row for row in rows}
    return found


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """A long list in parts that are short enough for one statement."""
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=16, **QUIET)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": 30}, **QUIET)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling would begin too late for BEGIN IMMEDIATE: we send BEGIN ourselves.
    connection.isolation_level = None
    # SQLite's own one knows English letters only: a search for "émile" would not find "Émile".
    connection.create_function("lower", 1, _lower, deterministic=True)
    connection.create_function("name_order", 1, _name_order, deterministic=True)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _lower(value: object) -> str | None:
    return None if value is None else str(value).lower()


def _name_order(value: str | None) -> str:
    """A name as people look for it in a list: Émile beside Emil, anna before Zoe."""
    if value is None or value.isascii():
        return (value or "").casefold()
    return "".join(c for c in unicodedata.normalize("NFKD", value.casefold()) if not unicodedata.combining(c))


def _begin_sqlite(connection: Any) -> None:
    # A writer takes the lock at once: a reader that turns writer later would fail instead of waiting.
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))
