"""The errors: who catches what, what they say, and that they survive a copy."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from gatebridge.errors import (
    AsgiAppError,
    ClientDisconnected,
    GatebridgeError,
    HostError,
    LifespanError,
    LoadError,
    RequestBodyError,
    RequestError,
    UnavailableError,
    WsgiAppError,
)

_CLASSES: list[type[GatebridgeError]] = [
    *(GatebridgeError, RequestError, RequestBodyError, WsgiAppError, AsgiAppError, HostError),
    *(LifespanError, LoadError, UnavailableError, ClientDisconnected),
]
_OS_ERRORS: list[Any] = [ClientDisconnected, RequestBodyError]


def pickled(error: Any) -> Any:
    return pickle.loads(pickle.dumps(error))


@pytest.fixture(params=[pickled, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
def duplicate(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Return a function that makes a second one of an error."""
    return request.param


@pytest.mark.parametrize("cls", _CLASSES)
def test_an_error_shows_field_and_reason(cls: type[GatebridgeError]) -> None:
    error = cls("content-length", "not a length: b'x'")
    assert (error.field, error.reason) == ("content-length", "not a length: b'x'")
    assert str(error) == "content-length: not a length: b'x'"


@pytest.mark.parametrize("cls", _CLASSES)
def test_an_error_survives_a_copy(
    cls: type[GatebridgeError], duplicate: Callable[[Any], Any]
) -> None:
    error = cls("field", "reason")
    copied = duplicate(error)
    assert type(copied) is cls
    assert copied is not error
    assert copied.args == error.args
    assert (copied.field, copied.reason, str(copied)) == ("field", "reason", "field: reason")


@pytest.mark.parametrize("cls", _CLASSES)
def test_every_error_is_caught_by_the_base(cls: type[GatebridgeError]) -> None:
    with pytest.raises(GatebridgeError, match=r"^field: reason$"):
        raise cls("field", "reason")


def test_each_party_has_a_class_of_its_own() -> None:
    """An error of one party is not taken for another's."""
    parties = [
        RequestError,
        WsgiAppError,
        AsgiAppError,
        HostError,
        LifespanError,
        LoadError,
        ClientDisconnected,
    ]
    for party in parties:
        assert [other for other in parties if issubclass(party, other)] == [party]


def test_only_the_two_are_os_errors() -> None:
    """An `OSError` out of ``send`` means a disconnect: an application's mistake must not be one."""
    assert [cls for cls in _CLASSES if issubclass(cls, OSError)] == [
        RequestBodyError,
        ClientDisconnected,
    ]
    assert issubclass(ClientDisconnected, ConnectionError)


@pytest.mark.parametrize("cls", _OS_ERRORS)
def test_an_os_error_of_ours_has_no_number(cls: Any, duplicate: Callable[[Any], Any]) -> None:
    """The field is no errno, the reason no strerror, the status no file name."""
    for error in (cls("wsgi.input", "reason"), duplicate(cls("wsgi.input", "reason"))):
        with pytest.raises(OSError, match=r"^wsgi\.input: reason$") as caught:
            raise error
        assert caught.value.errno is None
        assert caught.value.strerror is None
        assert caught.value.filename is None


def test_a_refused_request_is_a_400() -> None:
    assert RequestError("host", "reason").status == 400
    assert RequestBodyError("content-length", "reason").status == 400


def test_a_status_survives_a_copy(duplicate: Callable[[Any], Any]) -> None:
    too_large = RequestBodyError("body", "reason", 413)
    unnamed_length = RequestError("content-length", "reason")
    unnamed_length.status = 411
    assert duplicate(too_large).status == 413
    assert duplicate(unnamed_length).status == 411
    assert RequestError("host", "reason").status == 400  # of another request, still


def test_a_status_is_no_part_of_the_text() -> None:
    assert str(RequestBodyError("body", "too large", 413)) == "body: too large"


def test_a_disconnect_says_so_by_itself() -> None:
    assert str(ClientDisconnected("write")) == "write: the client disconnected"
