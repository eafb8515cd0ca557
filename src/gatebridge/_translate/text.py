"""The two kinds of string: text of ASGI, native strings of PEP 3333, and the bytes between them."""

from __future__ import annotations

from gatebridge.errors import HostError, RequestError

MAX_REMEMBERED = 256
"""The longest text from outside, in characters or bytes, that a cache may keep."""


def bytes_from_native(key: str, value: object) -> bytes:
    """Return the bytes that a native string of the environ stands for.

    Raises:
        HostError: ``value`` is not a `str`, or holds a character beyond U+00FF; names ``key``.
    """
    if not isinstance(value, str):
        raise HostError(key, f"not a str: {value!r:.80}")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise HostError(key, f"a character beyond U+00FF in {value!r:.80}") from None


def bytes_from_text(field: str, text: str) -> bytes:
    """Return the bytes of a decoded text of the scope; lone surrogates are the bytes they hide.

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
    """Return what a log says of a request: short, one line, whatever its client has sent."""
    shown = method if isinstance(method, str) and method.isprintable() else repr(method)
    return f"{shown:.80} {path!r:.200}"


def exact_str(field: str, value: object) -> str:
    """Return ``value`` as a `str` that is of no subclass, as PEP 3333 wants it.

    Raises:
        HostError: ``value`` is not a `str`; names ``field``.
    """
    if type(value) is str:
        return value
    if not isinstance(value, str):
        raise HostError(field, f"missing, or not a str: {value!r:.80}")
    return str.__str__(value)  # such as a member of http.HTTPMethod


def text_from_bytes(raw: bytes) -> str:
    """Return the text that ASGI servers give for bytes: UTF-8, with U+FFFD for what is not."""
    return raw.decode("utf-8", "replace")


def text_from_native(key: str, value: object) -> str:
    """Return the text of a native string of the environ.

    Raises:
        HostError: As `bytes_from_native`.
    """
    if isinstance(value, str) and value.isascii():
        return value
    return text_from_bytes(bytes_from_native(key, value))
