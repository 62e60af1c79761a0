"""PostgreSQL's texts beside the embedded store's: none is missing, and all of them are accepted by the server."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from support.postgres import server

from heliogram.store.postgres.catalogue import PACKAGE, NoSuchStatement, Text, catalogue, text_of
from heliogram.store.sqlite.statements import Statement, load_all

NOT_THERE = {
    "check.devices_out_of_reach": "there is no table `reachable`: an index of `device` stands for it",
    "check.reach_astray": "the same",
    "reach.delete_entry": "the same",
    "reach.devices_missed": "the same",
    "reach.entries_astray": "the same",
    "reach.put_entry": "the same",
    "work.finish_with_part": "a function of the database ends a chunk with its last part: `finish` is another there",
}
"""Statements of the embedded store that have no text for PostgreSQL, and why."""


def test_every_statement_of_the_embedded_store_has_a_text() -> None:
    """A job that asked for one that has none would fail in production only."""
    assert set(load_all()) - set(catalogue()) == set(NOT_THERE)


@pytest.mark.anyio
async def test_the_server_knows_what_every_text_means(tmp_path: Path) -> None:
    """Each can be prepared against the schema, with every value's type found; a misspelt column shows here."""
    connection = await asyncpg.connect(await server().database_for(tmp_path))
    try:
        for text in catalogue().values():
            prepared = await connection.prepare(text.sql)
            assert len(prepared.get_parameters()) == len(text.names)
    finally:
        await connection.close()


def test_names_become_numbers_in_the_order_they_come() -> None:
    """The same name is the same number; casts, literals and comments stay as they are."""
    text = Text("SELECT :b::text, ':no', :a -- not :this\n WHERE x = :b")
    assert text.sql == "SELECT $1::text, ':no', $2 -- not :this\n WHERE x = $1"
    assert text.names == ("b", "a")
    assert list(text.arguments({"a": 1, "b": 2, "more": 3})) == [2, 1]
    assert repr(text) == f"Text(names=2, characters={len(text.sql)})"


def test_values_in_a_sequence_are_in_their_order() -> None:
    """As the embedded store takes them, too."""
    assert list(Text("SELECT :a, :b").arguments((1, 2))) == [1, 2]
    assert list(Text("SELECT 1").arguments({})) == []
    assert list(Text("SELECT :a").arguments({"a": 1})) == [1]


def test_a_missing_value_is_named() -> None:
    """Not taken for NULL."""
    with pytest.raises(KeyError, match="b"):
        Text("SELECT :a, :b").arguments({"a": 1})


def test_a_statement_without_a_text_is_told_by_file_and_name() -> None:
    """So that whoever added it to one store sees what the other lacks."""
    with pytest.raises(NoSuchStatement, match=r"sql/keys\.sql has no statement named brand_new"):
        text_of(Statement.of("SELECT 1", "keys", "brand_new"))


def test_files_of_both_stores_have_the_same_names() -> None:
    """A statement's key is its file's name and its own; what PostgreSQL has alone is in files of its own."""
    alone = {key.partition(".")[0] for key in load_all(PACKAGE)} - {key.partition(".")[0] for key in load_all()}
    assert alone == {"activity", "devices", "examining", "nodes", "queueing"}
