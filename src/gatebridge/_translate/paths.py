"""Paths: ``path``, ``raw_path`` and ``root_path`` to ``SCRIPT_NAME`` and ``PATH_INFO`` and back.

ASGI has the path as text, decoded with U+FFFD in place of invalid UTF-8, and often also its exact
bytes, still percent-encoded, in ``raw_path``. An environ has the exact bytes, decoded. So
``raw_path`` is the better source for an environ; but servers and middleware do not agree on what it
is relative to, and some change only ``path``. It is used only if it agrees with ``path``.

Source: ASGI HTTP 2.5 "HTTP Connection Scope"; PEP 3333 "environ Variables"; RFC 3875 sections 4.1.5
and 4.1.13; RFC 9112 section 3.2. Each string is percent-decoded once (RFC 3986 section 2.4).
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

from gatebridge._translate.text import (
    bytes_from_native,
    bytes_from_text,
    native_from_text,
    text_from_bytes,
)
from gatebridge.errors import RequestError
from gatebridge.types import WSGIEnvironment

_ABSOLUTE_FORM = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
_ABSOLUTE_FORM_BYTES = re.compile(_ABSOLUTE_FORM.pattern.encode(), re.IGNORECASE)
# Some servers leave this encoded in PATH_INFO, and decode the rest: Cheroot, always in upper case,
# and Apache with `AllowEncodedSlashes NoDecode`, in the client's case.
_ENCODED_SLASH = re.compile(rb"%2F", re.IGNORECASE)
# As numbers, because `in` finds a byte several times faster than bytes of length 1.
_SLASH, _PERCENT, _QUESTION_MARK = b"/%?"
_UNRESERVED_IN_PATH = "/:@!$&'()*+,;="  # quote_from_bytes itself keeps letters, digits and _.-~


EnvironPaths = tuple[str, str, str, str | None]
"""``SCRIPT_NAME``, ``PATH_INFO`` and the path as requested, all native; and a host, or None."""


ScopePaths = tuple[str, bytes, str, "bytes | None"]
"""``path``, ``raw_path`` and ``root_path``; and the host of an absolute-form target, or None."""


def quote(path: bytes) -> str:
    """Percent-encode a path according to RFC 3986 section 3.3."""
    return quote_from_bytes(path, safe=_UNRESERVED_IN_PATH)


def mount_point(root: str) -> str:
    """Return a mount point in its one spelling: with a slash in front and none behind, or empty."""
    root = root.rstrip("/")
    return root if not root or root[0] == "/" else "/" + root


def starts_with(path: str, root: str) -> bool:
    """Return whether a path leads to a mount point or below it: ``/apiary`` is not in ``/api``."""
    return path.startswith(root) and (len(path) == len(root) or path[len(root)] == "/")


def with_one_slash(path: str, raw_path: bytes | None, root_path: str) -> tuple[str, bytes | None]:
    """Return a scope's paths with a single slash after a mount point that ends with one.

    Uvicorn puts ``--root-path`` in front of the path unchanged, so ``/api/`` gives ``/api//x``.
    """
    if not (root_path.endswith("/") and path.startswith(root_path + "/")):
        return path, raw_path
    root = bytes_from_text("root_path", root_path)
    if raw_path is not None and raw_path.startswith(root + b"/"):
        raw_path = root.rstrip(b"/") + raw_path[len(root) :]
    return root_path.rstrip("/") + path[len(root_path) :], raw_path


def environ_paths(path: str, raw_path: bytes | None, root_path: str, method: str) -> EnvironPaths:
    """Split a scope's path into ``SCRIPT_NAME`` and ``PATH_INFO``.

    ``root_path`` is removed only on a segment boundary. If ``path`` does not start with it, the
    server has already removed it.

    Args:
        path: The scope's ``path``, decoded; perhaps with the scheme and host of an absolute-form
            target.
        raw_path: The scope's ``raw_path``, percent-encoded, or None.
        root_path: The scope's ``root_path``, decoded, with or without slashes around it.
        method: The request method, because only OPTIONS may have the target ``*``.

    Raises:
        RequestError: The path has no leading slash, or cannot be encoded.
    """
    if raw_path is not None and _QUESTION_MARK in raw_path:
        raw_path = raw_path.partition(b"?")[0]
    if (
        raw_path
        and not root_path
        and raw_path[0] == _SLASH
        and path.isascii()
        and path.encode("ascii") == raw_path
    ):
        return "", path, path, None  # nearly every request

    root = mount_point(root_path)
    script_name = native_from_text("root_path", root)
    path, raw_path = with_one_slash(path, raw_path, root_path)
    request_path = raw_path.decode("latin-1") if raw_path else ""
    if path == "*" and method == "OPTIONS":
        return script_name, "*", request_path or "*", None
    host = None
    if absolute := _ABSOLUTE_FORM.match(path):
        host = native_from_text("path", absolute[1].rpartition("@")[2])
        path = path[absolute.end() :] or "/"
        if raw_path is not None and (absolute_raw := _ABSOLUTE_FORM_BYTES.match(raw_path)):
            raw_path = raw_path[absolute_raw.end() :] or b"/"
    if path and path[0] != "/":
        raise RequestError("path", f"does not start with a slash: {path[:80]!r}")
    info = _path_info_bytes(path, raw_path, root)
    path_info = info.decode("latin-1")
    if not (script_name or path_info):
        path_info = "/"
    if not request_path:
        request_path = quote((script_name + path_info).encode("latin-1"))
    return script_name, path_info, request_path, host


def _path_info_bytes(path: str, raw_path: bytes | None, root: str) -> bytes:
    """Return the exact bytes of ``PATH_INFO``, from ``raw_path`` where it agrees with ``path``."""
    shortened = bool(root) and starts_with(path, root)
    rest = path[len(root) :] if shortened else path
    if raw_path is not None:
        exact = unquote_to_bytes(raw_path)
        prefix = bytes_from_text("root_path", root)
        if _reads(exact, path):
            if not shortened:
                return exact
            if exact.startswith(prefix):
                return exact[len(prefix) :]
        elif root and _reads(exact, root + path):  # the server removed the root from path alone
            if exact.startswith(prefix):
                return exact[len(prefix) :]
        elif shortened:
            # A root was added to path alone: all of this one, or the part above a mount.
            for end in (end for end, char in enumerate(root + "/") if char == "/"):
                mounted = bytes_from_text("root_path", root[end:])
                if exact.startswith(mounted) and _reads(exact, path[end:]):
                    return exact[len(mounted) :]
    return bytes_from_text("path", rest)


def _reads(exact: bytes, text: str) -> bool:
    return text in (exact.decode("utf-8", "replace"), exact.decode("utf-8", "surrogateescape"))


def scope_paths(environ: WSGIEnvironment, method: str) -> ScopePaths:
    """Join an environ's ``SCRIPT_NAME`` and ``PATH_INFO`` to the paths of a scope.

    ``raw_path`` is the target that the client sent (``REQUEST_URI`` or ``RAW_URI``) if it agrees
    with the decoded path; otherwise the path is percent-encoded again. It includes ``root_path``,
    as ``path`` does. The target also agrees if the server has left encoded slashes, and nothing
    else, in ``PATH_INFO``; ``path`` then has them decoded, as on any other server.

    Raises:
        RequestError: The path has no leading slash.
        HostError: A value is not a native string; the error names the key.
    """
    path_info = environ.get("PATH_INFO")
    script_name = environ.get("SCRIPT_NAME")
    target = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    if (
        not script_name
        and type(path_info) is str
        and type(target) is str
        and path_info[:1] == "/"
        and path_info.isascii()
        and target.partition("?")[0] == path_info
        and "%" not in path_info
        and "#" not in path_info
    ):
        return path_info, path_info.encode("ascii"), "", None  # most requests

    if (
        not script_name
        and isinstance(path_info, str)
        and path_info.isascii()
        and path_info.startswith("/")
    ):
        info = path_info.encode("ascii")
        full, raw_path = _as_requested(environ, info, b"", info)
        path = path_info if full is info else text_from_bytes(full)
        return path, raw_path, "", None

    script = bytes_from_native("SCRIPT_NAME", script_name or "")
    info = bytes_from_native("PATH_INFO", path_info or "")
    host = None
    if absolute := _ABSOLUTE_FORM_BYTES.match(info):
        host = absolute[1].rpartition(b"@")[2]
        info = info[absolute.end() :] or b"/"
    if script.endswith(b"/") and info.startswith(b"/"):
        script = script.rstrip(b"/")
    full = script + info or b"/"
    if full[0] != _SLASH and not (full == b"*" and method == "OPTIONS"):
        raise RequestError("PATH_INFO", f"does not start with a slash: {full[:80]!r}")
    root = mount_point(text_from_bytes(script))
    full, raw_path = _as_requested(environ, full, script, info)
    return text_from_bytes(full), raw_path, root, host


def _as_requested(
    environ: WSGIEnvironment, full: bytes, script: bytes, info: bytes
) -> tuple[bytes, bytes]:
    """Return the full path: decoded, and percent-encoded, as the client sent it if that agrees."""
    targets: list[bytes] = []
    for key in ("REQUEST_URI", "RAW_URI"):
        value = environ.get(key)
        if not value:
            continue
        target = bytes_from_native(key, value)
        if target[0] != _SLASH and (absolute := _ABSOLUTE_FORM_BYTES.match(target)):
            target = target[absolute.end() :] or b"/"
        target = target.partition(b"?")[0].partition(b"#")[0]
        decoded = unquote_to_bytes(target) if _PERCENT in target else target
        if decoded == full:
            return full, target
        if script and decoded == info:
            return full, quote(script).encode("ascii") + target
        targets.append(target)
    if _ENCODED_SLASH.search(full):
        for target in targets:
            decoded = unquote_to_bytes(target)
            kept = b"%2F".join(map(unquote_to_bytes, _ENCODED_SLASH.split(target)))
            if _same(kept, full) and decoded.startswith(script):
                return decoded, target
            if script and _same(kept, info):
                return script + decoded, quote(script).encode("ascii") + target
    return full, quote(full).encode("ascii")


def _same(path: bytes, other: bytes) -> bool:
    """Return whether two paths are the same; encoded slashes in either case are equal."""
    return _ENCODED_SLASH.sub(b"%2F", path) == _ENCODED_SLASH.sub(b"%2F", other)
