"""Finds entries of a list by words, wherever they stand in the entries."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Entry = TypeVar("Entry")


def matching(entries: Sequence[Entry], query: str, texts: Callable[[Entry], Iterable[str]]) -> list[Entry]:
    """The entries in whose texts every word of the query stands; all of them for an empty query."""
    words = query.casefold().split()
    return [entry for entry in entries if all(word in " ".join(texts(entry)).casefold() for word in words)]
