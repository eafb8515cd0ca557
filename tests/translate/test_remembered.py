"""What translations remember: never a wrong answer, a secret, an object to change, or much."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatebridge import environ_from_scope, scope_from_environ
from gatebridge._translate import environ as environ_module
from gatebridge._translate import head_from_asgi as to_wsgi
from gatebridge._translate import head_from_wsgi as to_asgi
from gatebridge._translate import header_names
from gatebridge._translate.head_from_asgi import head_from_asgi
from gatebridge._translate.head_from_wsgi import head_from_wsgi
from gatebridge._translate.remembered import MAX_VALUES, REQUEST_NAMES, RESPONSE_NAMES
from gatebridge._translate.text import MAX_REMEMBERED
from translate.builders import make_environ
from translate.scopes import make_scope

pytestmark = [pytest.mark.direction("w2a", "a2w"), pytest.mark.clause("D-56")]

Translation = Callable[[list[tuple[Any, Any]]], Any]

MiB = 1048576


def to_environ(headers: list[tuple[Any, Any]]) -> dict[str, Any]:
    environ = environ_from_scope(make_scope(headers=headers))
    return {key: value for key, value in environ.items() if "." not in key}


def to_scope(headers: list[tuple[Any, Any]]) -> Any:
    """Translate from an environ with the headers as native strings; other values stay unchanged."""
    variables = {key_of(name): as_native(value) for name, value in headers}
    return scope_from_environ(make_environ(**variables))["headers"]


def to_response_start(headers: list[tuple[Any, Any]]) -> Any:
    native = [(as_native(name), as_native(value)) for name, value in headers]
    return head_from_wsgi("200 OK", native)


def to_start_response(headers: list[tuple[Any, Any]]) -> Any:
    return head_from_asgi(200, headers)


TRANSLATIONS: list[Translation] = [to_environ, to_scope, to_response_start, to_start_response]
REQUESTS, RESPONSES = TRANSLATIONS[:2], TRANSLATIONS[2:]


def key_of(name: bytes) -> str:
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def as_native(value: Any) -> Any:
    if type(value) is Subclass:
        return Text(value.decode("latin-1"))
    return value.decode("latin-1") if type(value) is bytes else value


def tables(translation: Translation) -> list[dict[Any, Any]]:
    """Return what a translation remembers of the values of each name."""
    if translation in REQUESTS:
        rows = (
            header_names._FIELD_OF_NAME if translation is to_environ else header_names._FIELD_OF_KEY
        )
        # Names in upper case have the table of the same name in lower case.
        known = [row[1] for row in rows.values() if row and row[1] is not None]
        return list({id(table): table for table in known}.values())
    return list((to_asgi if translation is to_response_start else to_wsgi)._KNOWN.values())


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    for translation in TRANSLATIONS:
        for table in tables(translation):
            table.clear()
    environ_module._maker._templates.clear()


# --- the same answer ------------------------------------------------------------------------------


class Subclass(bytes):
    """Equal to what it is not."""

    def __eq__(self, other: object) -> bool:
        return other == b"1"

    def __hash__(self) -> int:
        return hash(b"1")


class Text(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other == "1"

    def __hash__(self) -> int:
        return hash("1")


names = st.sampled_from(
    [
        *(
            b"accept",
            b"Accept",
            b"ACCEPT",
            b"host",
            b"user-agent",
            b"content-type",
            b"x_a",
            b"proxy",
        ),
        *(b"cookie", b"set-cookie", b"content-length", b"connection", b"x-rare", b"bad name", b""),
        *(b"Vary", b"vary", b"Content-Type", b"Cache-Control", b"transfer-encoding", b"status"),
    ]
)
texts = st.sampled_from(
    [
        b"1",
        b"",
        b" 1",
        b"1\t",
        b"a\tb",
        b"\xe9",
        b"\xa0",
        b"a\r\nb: c",
        b"\n",
        b"\0",
        b"\x01",
        b"12",
    ]
)
values = st.one_of(
    texts,
    texts,
    texts,
    texts.map(bytearray),
    texts.map(memoryview),
    texts.map(Subclass),
    st.just(None),
    st.just([]),
    st.just(1),
)


def outcome(translation: Translation, headers: list[tuple[Any, Any]]) -> object:
    try:
        return translation(headers)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it must be the same again
        return type(exc), str(exc)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(TRANSLATIONS),
    st.lists(st.tuples(names, texts), max_size=5),
    st.lists(st.tuples(names, values), max_size=5),
)
def test_what_was_translated_before_changes_no_answer(
    translation: Translation, earlier: list[tuple[Any, Any]], headers: list[tuple[Any, Any]]
) -> None:
    forget()
    cold = outcome(translation, headers)
    for item in [*earlier, *((name, b"1") for name, _ in headers), *headers]:
        outcome(translation, [item])
    assert outcome(translation, headers) == cold
    assert outcome(translation, headers) == cold


@pytest.mark.parametrize(
    "value",
    [memoryview(b"1"), Subclass(b"a\nb"), None, 1, []],
    ids=["memoryview", "subclass", "None", "int", "list"],
)
@pytest.mark.parametrize("translation", TRANSLATIONS)
def test_what_only_equals_a_remembered_value_is_not_taken_for_it(
    translation: Translation, value: Any
) -> None:
    name = b"accept" if translation in REQUESTS else b"vary"
    cold = outcome(translation, [(name, value)])
    translation([(name, b"1")])
    assert any(tables(translation))
    assert outcome(translation, [(name, value)]) == cold


@pytest.mark.clause("A-HTTP-12", "D-08")
@pytest.mark.parametrize("port", [1, True, 1.0])
def test_a_port_that_only_equals_a_remembered_one_is_written_as_it_is(port: Any) -> None:
    for _ in range(2):
        environ_from_scope(make_scope(server=("a.example", 1)))
    assert environ_from_scope(make_scope(server=("a.example", port)))["SERVER_PORT"] == str(port)


@pytest.mark.clause("W-CALL-11")
def test_environs_have_nothing_in_common_that_an_application_could_change() -> None:
    first, second = environ_from_scope(make_scope()), environ_from_scope(make_scope())
    first.clear()
    assert second["SERVER_NAME"] == "192.0.2.1"
    assert environ_from_scope(make_scope()).keys() == second.keys()
    mutable = [value for value in second.values() if isinstance(value, (dict, list, set))]
    assert mutable == [second["asgi.scope"]]


def test_scopes_have_nothing_in_common_that_an_application_could_change() -> None:
    environ = make_environ(HTTP_ACCEPT="a", REMOTE_ADDR="192.0.2.7", REMOTE_PORT="1")
    scopes = [scope_from_environ(environ) for _ in range(3)]
    for key in ("asgi", "headers", "extensions"):
        assert len({id(scope[key]) for scope in scopes}) == 3  # type: ignore[literal-required]
    for scope in scopes:
        own = [value for key, value in scope.items() if key != "wsgi_environ"]
        assert sum(isinstance(value, (dict, list, set)) for value in own) == 3


@pytest.mark.parametrize("translation", RESPONSES)
def test_heads_have_lists_of_their_own(translation: Translation) -> None:
    first, second = (translation([(b"vary", b"cookie")]) for _ in range(2))
    first.headers.clear()
    assert len(second.headers) == 1


# --- what is remembered ---------------------------------------------------------------------------


def some_headers(translation: Translation, mark: bytes) -> list[tuple[bytes, bytes]]:
    known = REQUEST_NAMES if translation in REQUESTS else RESPONSE_NAMES
    kept = sorted(known - {"host", "content-type"})[:12]
    return [(name.encode(), mark + b"%d" % number) for number, name in enumerate(kept)]


@pytest.mark.parametrize("translation", TRANSLATIONS)
def test_a_head_that_repeats_is_remembered(translation: Translation) -> None:
    headers = some_headers(translation, b"a")
    for _ in headers:
        translation([(name, bytes(bytearray(value))) for name, value in headers])
    assert sum(len(table) for table in tables(translation)) == len(headers)


@pytest.mark.parametrize("translation", TRANSLATIONS)
def test_a_head_of_new_values_leaves_one_behind(translation: Translation) -> None:
    for number in range(10):
        translation(some_headers(translation, b"%d-" % number))
        assert sum(len(table) for table in tables(translation)) <= number + 1


_SECRET = """
    authorization cookie cookie2 proxy-authorization set-cookie www-authenticate location referer
    x-csrf-token x-csrftoken x-xsrf-token x-api-key x-auth-token api-key forwarded x-forwarded-for
    x-real-ip x-client-ip true-client-ip cf-connecting-ip x-request-id x-correlation-id traceparent
    tracestate range if-range if-match if-none-match if-modified-since etag last-modified date
    expires sec-websocket-key x-amzn-trace-id last-event-id
""".split()


@pytest.mark.parametrize("translation", TRANSLATIONS)
def test_secrets_and_what_identifies_someone_are_not_remembered(translation: Translation) -> None:
    spellings = [spell(name).encode() for name in _SECRET for spell in (str.lower, str.title)]
    for name in spellings:
        for _ in range(2):
            translation([(name, b"s3cret")])
    assert [table for table in tables(translation) if table] == []
    assert "s3cret" not in repr(header_names._FIELD_OF_NAME)


@pytest.mark.parametrize("translation", TRANSLATIONS)
def test_what_broke_a_rule_is_not_remembered(translation: Translation) -> None:
    name = b"accept" if translation in REQUESTS else b"vary"
    for _ in range(2):
        with pytest.raises(Exception, match=r"CR, LF or NUL|control"):
            translation([(name, b"fine"), (name, b"a\nb")][translation is to_scope :])
    assert not any(tables(translation))


# --- how much -------------------------------------------------------------------------------------


def bytes_held(table: dict[Any, Any]) -> int:
    """Return the memory of a table, as if no object were in use elsewhere."""
    parts = [*table, *table.values()]
    parts += [part for value in table.values() if isinstance(value, tuple) for part in value]
    return sys.getsizeof(table) + sum(map(sys.getsizeof, parts))


@pytest.mark.parametrize(
    ("translation", "bound"),
    [(to_environ, 2 * MiB), (to_scope, 2 * MiB)]
    + [(translation, 4 * MiB) for translation in RESPONSES],
)
def test_a_hundred_thousand_values_leave_little_behind(
    translation: Translation, bound: int
) -> None:
    known = REQUEST_NAMES if translation in REQUESTS else RESPONSE_NAMES
    spellings = [name for name in sorted(known) if name != "host"]
    if translation in RESPONSES:
        spellings += [name.title() for name in spellings]
    number = most = 0
    while number < 100_000:
        for name in spellings:
            number += 1
            value = b"%d" % number
            translation([(name.encode(), value.rjust(MAX_REMEMBERED, b"x"))])
        # Every name has had as many: the tables are full together.
        if len(tables(translation)[-1]) == MAX_VALUES or number >= 100_000:
            assert max(len(table) for table in tables(translation)) <= MAX_VALUES
            most = max(most, sum(bytes_held(table) for table in tables(translation)))
    assert bound / 4 < most < bound


@pytest.mark.parametrize("translation", TRANSLATIONS)
def test_a_long_value_is_not_remembered(translation: Translation) -> None:
    name = b"accept" if translation in REQUESTS else b"vary"
    translation([(name, b"x" * (MAX_REMEMBERED + 1))])
    assert not any(tables(translation))


def test_values_invented_for_one_name_push_out_no_other() -> None:
    def accept() -> str:
        fresh = bytes(bytearray(b"text/html"))
        return to_environ([(b"accept", fresh)])["HTTP_ACCEPT"]

    first = accept()
    for number in range(1000):
        to_environ([(b"user-agent", b"%d" % number)])
    assert accept() is first


def test_servers_that_are_invented_are_forgotten_again() -> None:
    for number in range(1000):
        scope = make_scope(server=(f"{number}.example", 80))
        assert environ_from_scope(scope)["SERVER_NAME"] == f"{number}.example"
        assert len(environ_module._maker._templates) <= 16
    environ_module._maker._templates.clear()
    environ_from_scope(make_scope(server=("x" * 1000, 80)))
    assert not environ_module._maker._templates
