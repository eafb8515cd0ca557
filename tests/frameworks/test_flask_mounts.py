"""ASGI applications below Flask, as the page on Django and Flask has them: by `WsgiMounts`."""

from __future__ import annotations

import flask
import pytest
from werkzeug.exceptions import NotFound

from asgi_on_wsgi.apps import Recorder, body, receive_body, start
from asgi_on_wsgi.host import Host
from gatebridge import WsgiMounts
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")


async def show(scope: Scope, receive: Receive, send: Send) -> None:
    content = await receive_body(receive)
    user = flask.session.get("user", "nobody") if flask.has_request_context() else "outside"
    await send(start(200, (b"set-cookie", b"a=1"), (b"set-cookie", b"a=2; Path=/x")))
    await send(body(user.encode() + b" sent ", more=True))
    await send(body(content))


@pytest.mark.parametrize(
    ("path", "user"), [("/beside/x", b"outside"), ("/within/", b"ada"), ("/within/x", b"ada")]
)
def test_an_application_beside_flask_and_one_within(path: str, user: bytes) -> None:
    site = flask.Flask(__name__)
    site.secret_key = "of the tests"
    app = Recorder(show)
    within = WsgiMounts(NotFound(), {"/within": app})
    beside = WsgiMounts(site.wsgi_app, {"/beside": app})

    @site.before_request
    def sign_in() -> None:
        flask.session["user"] = "ada"

    @site.route("/within/", defaults={"rest": ""}, methods=["POST"])
    @site.route("/within/<path:rest>", methods=["POST"])
    def view(rest: str) -> WsgiMounts:
        return within

    site.wsgi_app = beside  # type: ignore[method-assign]
    with within, beside:
        host = Host(b"content", method="POST", path=path).serve(site)
    assert host.body == user + b" sent content"
    cookies = [value for name, value in host.headers if name.lower() == "set-cookie"]
    assert cookies[:2] == ["a=1", "a=2; Path=/x"]
    (scope,) = app.scopes
    assert (scope["root_path"], scope["path"]) == ("/" + path.split("/")[1], path)
