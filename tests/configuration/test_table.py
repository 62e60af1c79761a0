"""The table of settings and all that comes out of it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from heliogram.cli.root import cli
from heliogram.configuration import SETTINGS, Setting, read_file
from heliogram.configuration.kinds import Flag
from heliogram.configuration.reference import example
from heliogram.settings import ServeSettings

ROOT = Path(__file__).parents[2]
OPTIONS = {
    name: option
    for option in cli.commands["serve"].params
    if isinstance(option, click.Option)
    for name in (*option.opts, *option.secondary_opts)
}

each_setting = pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)


def test_every_field_of_the_service_is_a_setting_and_the_other_way_round() -> None:
    """Nothing can be told to a service that is not in the table."""
    fields = {field.name for field in msgspec.structs.fields(ServeSettings)}
    assert {setting.target for setting in SETTINGS} == fields
    assert len(SETTINGS) == len(fields)


def test_serve_has_no_option_that_is_in_no_table() -> None:
    """But for the file itself, and the form of the output."""
    named = {each.option for each in SETTINGS} | {f"{each.option}-file" for each in SETTINGS if each.secret}
    flags = {f"--no-{each.option[2:]}" for each in SETTINGS if isinstance(each.kind, Flag)}
    older = {name for each in SETTINGS for name in each.older}
    assert set(OPTIONS) == named | flags | older | {"--config", "--json"}


@each_setting
def test_a_setting_has_one_name_in_three_spellings(setting: Setting) -> None:
    """--queue-shards, HELIOGRAM_QUEUE_SHARDS, queue_shards."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", setting.name)
    option = OPTIONS[setting.option]
    assert option.envvar == setting.variable == "HELIOGRAM_" + setting.option[2:].replace("-", "_").upper()
    assert option.help
    assert option.help.startswith(setting.meaning)
    if setting.secret:
        assert OPTIONS[f"{setting.option}-file"].envvar == f"{setting.variable}_FILE"


@each_setting
def test_the_page_and_the_example_name_each_setting(setting: Setting) -> None:
    """With its three spellings on the page, and as a comment in the example."""
    page = (ROOT / "docs/reference/settings.md").read_text("utf-8")
    assert f"### `{setting.name}`\n" in page
    assert f"`{setting.option}`" in page
    assert f"`{setting.variable}`" in page
    assert f"\n#{setting.name} = " in example()


def test_the_page_is_up_to_date() -> None:
    """docs/reference/settings.md is what scripts/settings-reference writes."""
    run = subprocess.run(
        [sys.executable, ROOT / "scripts/settings-reference", "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"run scripts/settings-reference and commit the page\n{run.stderr}"


def test_the_example_can_be_read_as_it_is_and_with_every_line_taken_in(tmp_path: Path) -> None:
    """As it is it says nothing; without the comment signs every setting is there and right."""
    assert tomllib.loads(example()) == {}
    lines = [line for line in example().splitlines() if not re.match(r"#\w+_file = .*in place of it", line)]
    file = tmp_path / "heliogram.toml"
    file.write_text("\n".join(re.sub(r"^#(?=\w)", "", line) for line in lines))
    read = read_file(file)
    assert read.problems == []
    assert set(read.entries) == {setting.name for setting in SETTINGS}


BAD: list[tuple[str, str, Any, str]] = [
    # setting, a word, a value of TOML, what is expected
    ("queue_shards", "0", 1025, "1 to 1024"),
    ("queue_shards", "x", "16", "whole number"),
    ("queue_shards", "1.0", True, "whole number"),
    ("queue_shards", "9" * 5000, 16.0, "whole number"),
    ("drain_seconds", "nan", -0.5, "0 to 3600"),
    ("drain_seconds", "inf", 3600.5, "0 to 3600"),
    ("drain_seconds", "soon", "30", "number"),
    ("behind_proxy", "perhaps", "true", "true or false"),
    ("trusted_proxies", "10.0.0.7/24", ["proxy.example"], "addresses or networks such as 10.0.0.7 or 10.0.0.0/24"),
    ("trusted_proxies", "0.0.0.0/0", ["10.0.0.2", "::/0"], "is everybody"),
    ("trusted_proxies", ",".join(["10.0.0.2"] * 65), ["10.0.0.2"] * 65, "at most 64, got 65"),
    ("trusted_proxies", "nearby", 7, "such as 10.0.0.7|as text"),
    ("log_level", "loud", 3, "a word|one of debug"),
    ("data", "", 3, "path"),
    ("listen", "8080", 8080, "HOST:PORT|an address"),
    ("store", "mysql://x:hidden@y", ["postgresql://x"], "postgresql://|a URL"),
    ("queue", "http://hidden@x", [4222], "nats://|URLs"),
    ("apns_proxy", "http://push:hidden@proxy.example", 3128, "host:port|a URL"),
    ("apns_proxy", "https://push:hidden@proxy.example:3128", ["http://a:1"], "'https' is not supported|a URL"),
    ("apns_proxy", "http://push:hid/den@proxy.example:3128", True, "%2F for /|a URL"),
    ("role", "cook", ["api", "cook"], "api, worker, dispatcher"),
    ("hot_team", "ABCDE12345", {"ABCDE12345": "4"}, "TEAM=N|table of whole numbers"),
]


@pytest.mark.parametrize(("name", "word", "value", "expected"), BAD)
def test_what_cannot_be_is_refused_as_a_word_and_as_toml(name: str, word: str, value: Any, expected: str) -> None:
    """With what is expected, and never with a secret."""
    kind = next(setting for setting in SETTINGS if setting.name == name).kind
    with pytest.raises(ValueError, match=expected) as read:
        kind.read(word)
    with pytest.raises(ValueError, match=expected) as taken:
        kind.take(value, Path())
    assert "hidden" not in f"{read.value}{taken.value}"


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("queue_shards", "1024", 1024),
        ("drain_seconds", "0.5", 0.5),
        ("drain_seconds", "3600", 3600),
        ("behind_proxy", "Yes", True),
        ("behind_proxy", "0", False),
        ("log_level", "DEBUG", "debug"),
        ("listen", "[::1]:8080", "[::1]:8080"),
        ("queue", "nats://a:4222,nats://b:4222", ["nats://a:4222", "nats://b:4222"]),
        ("trusted_proxies", "10.0.0.2, fd00::/8", ["10.0.0.2", "fd00::/8"]),
        ("trusted_proxies", ",".join(["10.0.0.2"] * 64), ["10.0.0.2"] * 64),
        ("apns_proxy", "http://push:a%40b@proxy:3128", "http://push:a%40b@proxy:3128"),
        ("apns_proxy", "socks5://[::1]:1080", "socks5://[::1]:1080"),
        ("role", "api,worker", ["worker", "api"]),
        ("hot_team", "ABCDE12345=4, FGHIJ67890=2", {"ABCDE12345": 4, "FGHIJ67890": 2}),
    ],
)
def test_a_word_and_toml_say_the_same(name: str, word: str, value: Any) -> None:
    """At the bounds, and in every form."""
    kind = next(setting for setting in SETTINGS if setting.name == name).kind
    assert kind.read(word) == kind.take(value, Path())
