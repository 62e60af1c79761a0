"""What the site does to pages: a link that leads out of `docs/` is shown as the path in the repository it leads to, and
one that says a page's file name says the page's title."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>(?:\.\./)+[^)\s#]*)(?:#[^)\s]*)?\)")
_NAMED = re.compile(r"(?<!!)\[(?P<name>[\w-]+\.md)\]\((?P<target>[^)\s#]*(?P=name))(?P<anchor>#[^)\s]*)?\)")
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: object) -> str:
    """Called by MkDocs for every page; `page.file.src_uri` is its place below `docs/`."""
    folder = posixpath.dirname(page.file.src_uri)

    def titled(link: re.Match[str]) -> str:
        file = Path(config.docs_dir, folder, link["target"])
        if not file.is_file():
            return link.group()  # told of by MkDocs
        title = file.read_text("utf-8").partition("\n")[0].removeprefix("# ")
        return f"[{title}]({link['target']}{link['anchor'] or ''})"

    def shown(link: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join("docs", folder, link["target"]))
        if place.startswith("docs/"):
            return link.group()
        text = link["text"]
        return f"`{place}`" if text.strip("`") == place else f"{text} (`{place}`)"

    def prose(text: str) -> str:
        return _LINK.sub(shown, _NAMED.sub(titled, text))

    kept, end = [], 0
    for fence in _FENCE.finditer(markdown):
        kept += [prose(markdown[end : fence.start()]), fence.group()]
        end = fence.end()
    return "".join([*kept, prose(markdown[end:])])
