"""The human page of an OpenAPI document: one self-contained HTML file, no script, no request to anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from typing import Any

import msgspec

from .problem import LAYER_CODES

_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.92em}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
th,td{border-bottom:1px solid #8886;padding:.25rem .5rem;text-align:left;vertical-align:top}
details{border:1px solid #8886;border-radius:.4rem;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer}
.method{display:inline-block;min-width:4.5rem;font-weight:700}
.note{opacity:.75}
pre{overflow-x:auto}
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs_page(document: Mapping[str, Any], codes: Mapping[int, str]) -> str:
    """`document` as HTML, with an anchor `#code-N` for every problem code (`more_info` points there)."""
    info = document["info"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
        f"<p>{escape(info.get('description', ''))}</p>",
        f"<p>Base: {_bases(document)}. The same as a document: <a href=/openapi.json>openapi.json</a>.</p>",
        *_operations(document),
        "<h2>Schemas</h2>",
        *(_schema(name, schema) for name, schema in document["components"]["schemas"].items()),
        "<h2>Problem codes</h2><table><tr><th>code<th>meaning</tr>",
        *(_code(code, text) for code, text in sorted({**LAYER_CODES, **codes}.items())),
        "</table></body></html>",
    ]
    return "\n".join(parts)


def _bases(document: Mapping[str, Any]) -> str:
    return ", ".join(f"<code>{escape(server['url'])}</code>" for server in document["servers"])


def _operations(document: Mapping[str, Any]) -> list[str]:
    by_tag: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "servers":
                tag = (operation.get("tags") or ["Other"])[0]
                by_tag.setdefault(tag, []).append(_operation(method, path, operation))
    return [part for tag, found in by_tag.items() for part in (f"<h2>{escape(tag)}</h2>", *found)]


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f"<details id={escape(operation['operationId'], quote=True)}><summary>",
        f"<span class=method>{method.upper()}</span> <code>{escape(path)}</code> ",
        f"{escape(operation['summary'])}</summary>",
    ]
    if operation.get("description"):
        parts += [f"<p>{escape(each)}</p>" for each in operation["description"].split("\n\n")]
    if operation.get("x-scope"):
        parts.append(f"<p class=note>Scope: <code>{escape(operation['x-scope'])}</code></p>")
    if operation["parameters"]:
        parts.append("<table><tr><th>parameter<th>in<th>type<th></tr>")
        parts += [_parameter(each) for each in operation["parameters"]]
        parts.append("</table>")
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        parts.append(f"<p>Body: {_type(content['schema'])}</p>")
    parts.append("<table><tr><th>status<th>meaning<th>body</tr>")
    for status, response in operation["responses"].items():
        shapes = ", ".join(_type(each["schema"]) for each in response.get("content", {}).values())
        parts.append(f"<tr><td>{status}<td>{escape(response['description'])}<td>{shapes}</tr>")
    return "".join([*parts, "</table></details>"])


def _parameter(each: Mapping[str, Any]) -> str:
    needed = " (required)" if each["required"] else ""
    text = escape(each.get("description", ""))
    return (
        f"<tr><td><code>{escape(each['name'])}</code>{needed}<td>{each['in']}<td>{_type(each['schema'])}<td>{text}</tr>"
    )


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    parts = [f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>']
    parts.append(f"<p>{escape(schema.get('description', ''))}</p><table><tr><th>field<th>type<th></tr>")
    required = schema.get("required", ())
    for field, inner in schema.get("properties", {}).items():
        needed = " (required)" if field in required else ""
        text = escape(_described(inner))
        parts.append(f"<tr><td><code>{escape(field)}</code>{needed}<td>{_type(inner)}<td>{text}</tr>")
    parts.append("</table>")
    for example in schema.get("examples", ()):
        parts.append(f"<pre>{escape(msgspec.json.format(msgspec.json.encode(example)).decode())}</pre>")
    return "".join([*parts, "</details>"])


def _described(schema: Mapping[str, Any]) -> str:
    """A field's description: of one that may be null it stands with the other arm."""
    texts = (each.get("description", "") for each in (schema, *schema.get("anyOf", ())))
    return next(filter(None, texts), "")


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#schema-{name}">{name}</a>'
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(_type(each) for each in schema[word])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}{_bounds(schema)}"
    return f"{escape(str(kind))}{_bounds(schema)}"


def _bounds(schema: Mapping[str, Any]) -> str:
    words = {"minimum": "≥ {}", "maximum": "≤ {}", "minLength": "≥ {} chars", "maxLength": "≤ {} chars"}
    words |= {"minItems": "≥ {}", "maxItems": "≤ {}", "pattern": "{}", "format": "{}", "default": "default {}"}
    found = [text.format(schema[word]) for word, text in words.items() if word in schema]
    return f" <span class=note>({escape(', '.join(found))})</span>" if found else ""


def _code(code: int, text: str) -> str:
    return f'<tr id="code-{code}"><td><code>{code}</code><td>{escape(text)}</tr>'
