"""The document of the service beside the skeleton of Twilio's in docs/reference/push-api.md, appendix A."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec.yaml
import pytest

from heliogram.api import ENDPOINTS
from heliogram.api.basis import FIELDS, PARAMETERS
from heliogram.rest import Documented, openapi

BOOK = (Path(__file__).parents[2] / "docs/reference/push-api.md").read_text("utf-8")
SKELETON: dict[str, Any] = msgspec.yaml.decode(BOOK.partition("```yaml\n")[2].partition("```")[0])
OURS = openapi(ENDPOINTS, title="Heliogram", version="0", documented=Documented(FIELDS, PARAMETERS))

NAMES = {
    "Content": ["Content"],
    "DirectRecipient": ["RecipientIn"],
    "UserRecipient": ["RecipientIn"],
    "CredentialSender": ["SenderIn", "SenderOut"],
    "AppSender": ["SenderIn"],
    "SendRequest": ["SendRequest"],
    "PushNotification": ["NotificationOut"],
    "OperationStats": ["Stats"],
    "Operation": ["OperationOut"],
    "App": ["AppOut"],
    "ApnCertificateContent": ["CredentialContent"],
    "CreateCredentialRequest": ["CreateCredential"],
    "Credential": ["CredentialOut"],
    "DefaultFlagUpdate": [],
    "Device": ["DeviceOut"],
    "RegisterDeviceRequest": ["RegisterDevice"],
    "Related": ["Related"],
    "DeviceRegistration": ["RegistrationOut"],
    "User": ["UserOut"],
    "Pagination": ["Pagination"],
}
"""Documented objects, and what they are called here. FCM's content is not built."""

PAIRS = [(theirs, ours) for theirs, names in NAMES.items() for ours in names]

OPERATIONS = [
    line.split(" | ")[1].strip()
    for line in BOOK.partition("## 3. Endpoint list")[2].partition("Mentioned in prose")[0].splitlines()
    if re.match(r"\| \d+ \|", line)
]


def theirs_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = SKELETON["components"]["schemas"][name]
    return found


def ours_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = OURS["components"]["schemas"][name]
    return found


@pytest.mark.parametrize(("theirs", "ours"), PAIRS)
def test_every_documented_field_is_there(theirs: str, ours: str) -> None:
    """TW-41, TW-43, TW-48, TW-52, TW-61, TW-69: each object has its documented fields, by name."""
    assert set(theirs_of(theirs)["properties"]) <= set(ours_of(ours)["properties"])


@pytest.mark.parametrize(
    ("theirs", "ours"), [pair for pair in PAIRS if pair[1].endswith(("Out", "Stats", "Pagination"))]
)
def test_what_is_required_of_an_answer_is_always_there(theirs: str, ours: str) -> None:
    """TW-41, TW-43, TW-48, TW-52, TW-61, TW-69: a client may rely on the fields that are documented as required."""
    if theirs in ("CredentialSender", "Content"):
        return
    required = set(theirs_of(theirs).get("required", ()))
    assert required <= set(ours_of(ours).get("required", ()))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [pair for pair in PAIRS if pair[1] in ("SendRequest", "Content", "CreateCredential", "RegisterDevice")],
)
def test_nothing_more_is_asked_of_a_request(theirs: str, ours: str) -> None:
    """TW-32, TW-63: a request that is whole by Twilio's document is whole here."""
    assert set(ours_of(ours).get("required", ())) <= set(theirs_of(theirs).get("required", ()))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Provider", "ProviderName"),
        ("CredentialType", "CredentialType"),
        ("Priority", "Priority"),
        ("NotificationStatus", "NotificationStatus"),
        ("OperationStatus", "OperationStatus"),
    ],
)
def test_enums_have_the_documented_values(theirs: str, ours: str) -> None:
    """TW-28, TW-40, TW-42, TW-53: no value more and none less."""
    assert set(theirs_of(theirs)["enum"]) == set(ours_of(ours)["enum"])


@pytest.mark.parametrize(("theirs", "ours"), PAIRS)
def test_fields_of_ours_say_so(theirs: str, ours: str) -> None:
    """Every field beside the documented ones is marked, and no documented one is."""
    documented = {field for name, names in NAMES.items() if ours in names for field in theirs_of(name)["properties"]}
    if ours == "NotificationOut":
        documented.add("tags")  # filtered by, and shown in the older draft (2.6)
    marked = {name for name, schema in ours_of(ours)["properties"].items() if schema.get("x-basis") == "ours"}
    assert marked == set(ours_of(ours)["properties"]) - documented


def test_the_twenty_operations_are_there() -> None:
    """TW-23: 20 operations on 12 paths, and each says that it is documented."""
    found = set()
    for text in OPERATIONS:
        methods, _, path = text.partition(" `")
        for method in methods.split(" / "):
            operation = OURS["paths"][path.rstrip("`")][method.lower()]
            assert operation["x-basis"] == "documented", text
            found.add((method, path))
    assert len(found) == 20
    assert len({path for _, path in found}) == 12


def test_nothing_else_claims_to_be_documented() -> None:
    """What Twilio's document does not have says that it is ours."""
    claimed = [
        operation["operationId"]
        for item in OURS["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and operation["x-basis"] == "documented"
    ]
    assert len(claimed) == 20


@pytest.mark.parametrize("operation", sorted(PARAMETERS))
def test_lists_take_the_documented_filters(operation: str) -> None:
    """TW-37, TW-44, TW-51, TW-60, TW-67, TW-70: each list has its filters, and only one of them is required."""
    (found,) = [
        each
        for item in OURS["paths"].values()
        for each in item.values()
        if isinstance(each, dict) and each["operationId"] == operation
    ]
    parameters = {each["name"]: each for each in found["parameters"] if each["in"] == "query"}
    assert set(PARAMETERS[operation]) <= set(parameters)
    required = {name for name, each in parameters.items() if each["required"]}
    assert required <= {"userId"}


def test_documented_statuses_are_in_the_document() -> None:
    """TW-19: 400, 429, 500 and 503 of every operation, and 404 of those by id."""
    for path, item in OURS["paths"].items():
        for operation in item.values():
            if isinstance(operation, dict) and operation["x-basis"] == "documented":
                wanted = {"400", "429", "500", "503"} | ({"404"} if "{" in path else set())
                assert wanted <= set(operation["responses"]), operation["operationId"]


def test_a_wait_is_told_in_a_header() -> None:
    """TW-21: 429 and 503 carry Retry-After in the document of every operation."""
    for item in OURS["paths"].values():
        for operation in item.values():
            for status in ("429", "503"):
                answer = operation["responses"].get(status) if isinstance(operation, dict) else None
                assert answer is None or "Retry-After" in answer["headers"]
