"""What goes wrong with a request, as the service says it or as the way to it does."""

from __future__ import annotations

from collections.abc import Sequence

from .structs import Told


class FieldError(Told, frozen=True, kw_only=True):
    """One thing wrong with a request. `context` is where (`$.to[3].token`, or `query.pageSize`), `pointer` the same as
    a JSON pointer; `message` and `detail` say what is expected."""

    code: int
    message: str
    detail: str
    context: str | None = None
    pointer: str | None = None


class Problem(Told, frozen=True, kw_only=True, rename=None):
    """An error as the service tells it (RFC 9457). `code` is stable; `more_info` is its entry in the service's docs."""

    type: str
    title: str
    status: int
    code: int
    detail: str
    message: str
    more_info: str
    errors: list[FieldError]


class HeliogramError(Exception):
    """{status} {title}: {detail}

    A request was refused or could not be done. `status` is HTTP's, `code` the service's own stable number
    (docs/reference/errors.md); both are 0 when there was no answer. `errors` name the fields. `retry_after` is how many
    seconds the service asks to wait. `repeated`: it is the answer to an earlier request with the same idempotency key,
    and says nothing of how things are now. The request was tried again before, where that can help.
    """

    def __init__(
        self,
        status: int,
        code: int,
        title: str,
        detail: str,
        errors: Sequence[FieldError] = (),
        *,
        retry_after: float | None = None,
        repeated: bool = False,
    ) -> None:
        self.status, self.code, self.title, self.detail = status, code, title, detail
        self.errors = tuple(errors)
        self.retry_after, self.repeated = retry_after, repeated
        super().__init__(f"{status} {title}: {detail}" if status else f"{title}: {detail}")

    def __reduce__(self) -> tuple[object, ...]:
        values = (self.status, self.code, self.title, self.detail, self.errors)
        return (type(self), values, {"retry_after": self.retry_after, "repeated": self.repeated})


class Unreachable(HeliogramError):
    """{title}: {detail}

    No answer came: nothing listens there, the connection was lost, or it took too long. A write may have been done;
    giving the same idempotency key again is safe.
    """


class OperationTimeout(HeliogramError):
    """{title}: {detail}

    The operation goes on, but `operations.wait` was not to wait for it any longer.
    """
