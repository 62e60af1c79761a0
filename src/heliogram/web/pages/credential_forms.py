"""The forms that take a key or a certificate: for a new credential, and for new content of one there is.

What is secret goes to the API and never back into a page: after a mistake it is chosen once more.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import ApiProblem, api, form, redirect, render, segment
from ..inprocess import PUSH
from ._credential_words import shown
from ._shared import ALL, given, tried

ROOT = f"{PUSH}/Credentials"
FIELDS = {
    "key": ("signingKey", "keyId", "teamId", "bundleId", "keyScope", "relatedCredentialId"),
    "certificate": ("certificate", "privateKey"),
    "p12": ("pkcs12", "password"),
}
"""What each form takes, by its name in the address."""
SECRET = frozenset({"signingKey", "certificate", "privateKey", "pkcs12", "password"})
EXACT = ("password",)
"""Somebody may have a password that begins or ends with a space."""
TABS = (("key", "Signing key (.p8)"), ("certificate", "Certificate (PEM)"), ("p12", "Certificate (.p12)"))


async def new(request: Request) -> Response:
    """The form for a new credential."""
    query = request.query_params
    values = {"appName": query.get("app", ""), "credentialType": query.get("type", "APN")}
    return await _new(request, query.get("form", "key"), values)


async def create(request: Request) -> Response:
    """Keeps a new credential, and leads to it."""
    values = form(request, exact=EXACT)
    kind = _kind(values.get("form", ""))
    body: dict[str, Any] = {"credentialType": values.get("credentialType", "APN"), "content": _content(kind, values)}
    body |= given(values, "appName")
    if values.get("isDefault"):
        body["isDefault"] = True
    made, problem = await tried(api(request).post(ROOT, body))
    if problem is not None:
        return await _new(request, kind, values, problem)
    message = "Kept, sealed. Check it now: APNs says whether it works."
    return redirect(request, f"/credentials/{made['resourceId']}", message=message)


async def ask_rotate(request: Request) -> Response:
    """The form for new content."""
    return await _rotate(request, request.query_params.get("form", ""), {})


async def rotate(request: Request) -> Response:
    """New content under the same id."""
    values, ident = form(request, exact=EXACT), segment(request.path_params["id"])
    kind = _kind(values.get("form", ""))
    _, problem = await tried(api(request).post(f"{ROOT}/{ident}/rotate", {"content": _content(kind, values)}))
    if problem is not None:
        return await _rotate(request, kind, values, problem)
    message = "Rotated: new connections open with the new content. Leave the old valid at Apple for half an hour."
    return redirect(request, f"/credentials/{ident}", message=message)


async def _new(request: Request, kind: str, values: dict[str, str], problem: ApiProblem | None = None) -> Response:
    apps = await api(request).get(f"{PUSH}/Apps", pageSize=ALL)
    return render(
        request,
        "credentials/new.html",
        status=200 if problem is None else problem.status,
        kind=_kind(kind),
        tabs=TABS,
        values=_told(values),
        problem=problem,
        apps=[each["name"] for each in apps["apps"]],
    )


async def _rotate(request: Request, kind: str, values: dict[str, str], problem: ApiProblem | None = None) -> Response:
    found = shown(await api(request).get(f"{ROOT}/{segment(request.path_params['id'])}"))
    is_key = found["content"]["form"] == "token"
    tabs = TABS[:1] if is_key else TABS[1:]
    kept = {name: str(found["content"].get(name) or "") for name in ("teamId", "bundleId", "keyScope")}
    topics = {"topics": "\n".join(found["topics"])} if is_key else {}
    return render(
        request,
        "credentials/rotate.html",
        status=200 if problem is None else problem.status,
        credential=found,
        kind=kind if kind in dict(tabs) else tabs[0][0],
        tabs=tabs,
        values=_told({**kept, **topics, **values}),
        problem=problem,
    )


def _kind(kind: str) -> str:
    return kind if kind in FIELDS else "key"


def _content(kind: str, values: dict[str, str]) -> dict[str, Any]:
    content: dict[str, Any] = dict(given(values, *FIELDS[kind]))
    if kind == "p12" and "pkcs12" in content:
        content["pkcs12"] = "".join(content["pkcs12"].split())
    topics = values.get("topics", "").replace(",", " ").split()
    if kind == "key" and topics:
        content["topics"] = topics
    return content


def _told(values: dict[str, str]) -> dict[str, str]:
    """What is filled in again: everything but secrets."""
    names = ("appName", "credentialType", "isDefault", "topics", *FIELDS["key"])
    return {name: values.get(name, "") for name in names if name not in SECRET}


ROUTES = [
    Route("/credentials/new", new, methods=["GET"]),
    Route("/credentials/new", create, methods=["POST"]),
    Route("/credentials/{id}/rotate", ask_rotate, methods=["GET"]),
    Route("/credentials/{id}/rotate", rotate, methods=["POST"]),
]
