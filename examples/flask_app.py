"""A small Flask application: a page, an upload, a download. It knows nothing of ASGI."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from flask import Flask, Response, request

flask_app = Flask(__name__)

BLOCK = b"gatebridge " * 1024


@flask_app.get("/")
def index() -> str:
    return "<!doctype html><title>Shop</title><h1>Good morning</h1>"


@flask_app.post("/upload")
def upload() -> dict[str, object]:
    """Say what arrived: the form's fields, and the file's name, size in bytes and SHA-256."""
    file = request.files["file"]
    digest, size = hashlib.sha256(), 0
    while block := file.stream.read(65536):
        digest.update(block)
        size += len(block)
    return {
        "title": request.form["title"],
        "name": file.filename,
        "size": size,
        "sha256": digest.hexdigest(),
    }


@flask_app.get("/download")
def download() -> Response:
    """Stream ``?blocks=`` blocks, none of which exists before it is sent."""

    def blocks(count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield BLOCK

    return Response(
        blocks(request.args.get("blocks", default=16, type=int)),
        mimetype="application/octet-stream",
    )
