"""What the site does to pages: a link that leads out of `docs/` is shown as the path in the repository it leads to."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>(?:\.\./)+[^)\s#]*)(?:#[^)\s]*)?\)")
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Called by MkDocs for every page; `page.file.src_uri` is its place below `docs/`."""
    folder = posixpath.dirname(page.file.src_uri)

    def shown(link: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join("docs", folder, link["target"]))
        if place.startswith("docs/"):
            return link.group()
        text = link["text"]
        return f"`{place}`" if text.strip("`") == place else f"{text} (`{place}`)"

    kept, end = [], 0
    for fence in _FENCE.finditer(markdown):
        kept += [_LINK.sub(shown, markdown[end : fence.start()]), fence.group()]
        end = fence.end()
    return "".join([*kept, _LINK.sub(shown, markdown[end:])])
