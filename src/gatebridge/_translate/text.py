"""Strings of two kinds: text in ASGI, native strings in PEP 3333, and the bytes between them."""

from __future__ import annotations

from gatebridge.errors import HostError, RequestError

MAX_REMEMBERED = 256
"""The longest text from outside, in characters or bytes, that a cache may keep."""


def bytes_from_native(key: str, value: object) -> bytes:
    """Return the bytes that a native string of the environ represents.

    Raises:
        HostError: ``value`` is not a `str`, or contains a character beyond U+00FF; names ``key``.
    """
    if not isinstance(value, str):
        raise HostError(key, f"not a str: {value!r:.80}")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise HostError(key, f"a character beyond U+00FF in {value!r:.80}") from None


def bytes_from_text(field: str, text: str) -> bytes:
    """Return the bytes of a decoded text of the scope; lone surrogates become the bytes they hide.

    Raises:
        RequestError: A surrogate hides no byte; names ``field``.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise RequestError(field, f"not encodable as UTF-8: {text!r:.80}") from None


def native_from_text(field: str, text: object) -> str:
    """Return the native string of a text: one character for each byte of its UTF-8 form.

    Raises:
        RequestError: As `bytes_from_text`.
        HostError: ``text`` is not a `str`; names ``field``.
    """
    exact = exact_str(field, text)
    return exact if exact.isascii() else bytes_from_text(field, exact).decode("latin-1")


def request_line(method: object, path: object) -> str:
    """Return method and path for a log: short, and one line, even if the client sent others."""
    shown = method if isinstance(method, str) and method.isprintable() else repr(method)
    return f"{shown:.80} {path!r:.200}"


def exact_str(field: str, value: object) -> str:
    """Return ``value`` as an exact `str`, not a subclass, as PEP 3333 requires.

    Raises:
        HostError: ``value`` is not a `str`; names ``field``.
    """
    if type(value) is str:
        return value
    if not isinstance(value, str):
        raise HostError(field, f"missing, or not a str: {value!r:.80}")
    return str.__str__(value)  # such as of a member of http.HTTPMethod


def text_from_bytes(raw: bytes) -> str:
    """Decode bytes as ASGI servers do: as UTF-8, with U+FFFD in place of invalid bytes."""
    return raw.decode("utf-8", "replace")


def text_from_native(key: str, value: object) -> str:
    """Return the text of a native string of the environ.

    Raises:
        HostError: As `bytes_from_native`.
    """
    if isinstance(value, str) and value.isascii():
        return value
    return text_from_bytes(bytes_from_native(key, value))
