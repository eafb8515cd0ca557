"""``gatebridge.auto``: an application by its name in the environment, as a server imports it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatebridge import AsgiToWsgi, WsgiToAsgi
from gatebridge.errors import LoadError

_SITE = """
made = []

def wsgi(environ, start_response): ...
async def asgi(scope, receive, send): ...
def either(*args): ...

def create_app():
    made.append(wsgi)
    return wsgi

def create_app_of(settings): ...
def create_app_or(settings=None, debug=False): ...
async def create_app_later(): ...
def failing_factory(): raise ZeroDivisionError

class Site:
    app = asgi

number = 1
"""

_VIEWS = """
from gatebridge import disconnect_flag, environ_from_scope

def page(): ...
def item(request, number): ...
def create_site(): ...
def create_page(): ...
def create_item(item, number): ...
def detail(request): ...

class View: ...
class Proxy:
    def __call__(self, *args): ...
    def __getattribute__(self, name): raise RuntimeError("bound to nothing")

proxy = Proxy()
"""

Auto = Callable[..., Any]


@pytest.fixture
def auto(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Auto:
    """A function that imports ``gatebridge.auto`` anew, in such an environment."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "site_of_test.py").write_text(_SITE)
    (tmp_path / "site_of_views.py").write_text(_VIEWS)
    (tmp_path / "package_of_test").mkdir()
    (tmp_path / "package_of_test" / "__init__.py").touch()
    (tmp_path / "package_of_test" / "main.py").write_text("import package_of_test")
    (tmp_path / "broken_site.py").write_text("import sys\nsys.no_such_attribute\n")
    (tmp_path / "site_in_need.py").write_text("import no_such_dependency\n")
    monkeypatch.delenv("GATEBRIDGE_APP", raising=False)

    def load(name: str | None = None, interface: str | None = None) -> Any:
        for each in ("gatebridge.auto", "site_of_test"):
            monkeypatch.delitem(sys.modules, each, raising=False)
        if name is not None:
            monkeypatch.setenv("GATEBRIDGE_APP", name)
        if interface is not None:
            monkeypatch.setenv("GATEBRIDGE_INTERFACE", interface)
        try:
            return importlib.import_module("gatebridge.auto")
        finally:
            for each in ("gatebridge.auto", "site_of_test"):
                monkeypatch.delitem(sys.modules, each, raising=False)

    return load


def test_a_wsgi_application_is_adapted_for_asgi_servers_alone(auto: Auto) -> None:
    module = auto("site_of_test:wsgi")
    assert module.wsgi.__name__ == "wsgi"
    assert isinstance(module.asgi, WsgiToAsgi)
    assert module.asgi.app is module.wsgi


def test_an_asgi_application_is_adapted_for_wsgi_servers_alone(auto: Auto) -> None:
    module = auto("site_of_test:Site.app")
    assert module.asgi.__name__ == "asgi"
    assert isinstance(module.wsgi, AsgiToWsgi)
    assert module.wsgi.app is module.asgi


def test_both_names_are_in_the_dictionary_of_the_module(auto: Auto) -> None:
    """There uWSGI, mod_wsgi and Hypercorn look for them."""
    assert {"asgi", "wsgi"} <= vars(auto("site_of_test:wsgi")).keys()


def test_a_factory_is_called_once(auto: Auto) -> None:
    module = auto("site_of_test:create_app()")
    assert module.wsgi.__globals__["made"] == [module.wsgi]


@pytest.mark.parametrize(("interface", "adapted"), [("asgi", AsgiToWsgi), ("wsgi", WsgiToAsgi)])
def test_the_interface_can_be_told(auto: Auto, interface: str, adapted: type) -> None:
    module = auto("site_of_test:either", interface)
    assert getattr(module, interface).__name__ == "either"
    assert isinstance(module.asgi if interface == "wsgi" else module.wsgi, adapted)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (None, "GATEBRIDGE_APP: not set"),
        (
            "site_of_test",
            "names only a module; did you mean site_of_test:asgi or site_of_test:wsgi?",
        ),
        ("site_of_test:", "not of the form package.module:app"),
        ("site_of_test:create_app(1)", "not of the form"),
        (".site_of_test:app", "not of the form"),
        ("no_such_site:app", "no module named 'no_such_site'"),
        ("no_such_site.wsgi:app", "no module named 'no_such_site'"),
        ("site_of_test.py:wsgi", "names a file instead of a module; write site_of_test:wsgi$"),
        ("./pages/site.py", "names a file instead of a module; write pages.site:app$"),
        (
            "site_of_test:wsgj",
            "module 'site_of_test' has no 'wsgj'; did you mean site_of_test:wsgi or site_of_test:a",
        ),
        ("site_of_test:Site.ap", "'Site' has no 'ap'; did you mean site_of_test:Site.app?"),
        ("site_of_test:number", "not callable, so not an application: 1"),
        ("site_of_test:number()", "not callable, so not a factory: 1"),
        ("site_of_test:wsgi()", "an application, not a factory; leave out the ()$"),
        ("site_of_test:create_app_of()", "must be callable without arguments: .*'settings'"),
        (
            "site_of_test:create_app",
            "a factory, not an application; write site_of_test:create_app()$",
        ),
        (
            "site_of_test:create_app_or",
            "if it is a factory, write site_of_test:create_app_or(); did you",
        ),
        ("site_of_test:create_app_later()", "a factory must not be a coroutine function"),
        (
            "site_of_test:Site",
            "is a class .*; create an instance, and use that; did you mean site_",
        ),
        (
            "site_of_test:either",
            "^site_of_test:either: may be ASGI .*; or use --interface or GATEB",
        ),
        ("site_of_views:nope", "has no 'nope'; did you mean site_of_views:create_site()?$"),
        (
            "site_of_views:page",
            "if it is a factory, write site_of_views:page(); did you mean site_of_",
        ),
        (
            "site_of_views:View",
            "is a class .*, and use that; did you mean site_of_views:create_site",
        ),
        (
            "site_of_views:detail",
            "takes one argument: .*; did you mean site_of_views:create_site()?$",
        ),
        ("site_of_views:create_item()", "a factory must be callable without arguments: .*'item'"),
        ("package_of_test:main", "has no 'main'; write package_of_test.main:app if the"),
        ("package_of_test:other", "has no 'other'; no application was found there$"),
        ("package_of_test.main:package_of_test", "a module; no application was found there$"),
    ],
)
def test_an_error_says_what_was_not_found(auto: Auto, name: str | None, reason: str) -> None:
    with pytest.raises(
        LoadError, match=reason.replace("()", r"\(\)").replace("?", r"\?")
    ) as caught:
        auto(name)
    assert caught.value.field == name or name is None


@pytest.mark.parametrize("name", ["app", "application"])
def test_the_names_that_servers_expect_are_an_error_that_says_which_exist(
    auto: Auto, name: str
) -> None:
    """A server would report an `AttributeError` without its words."""
    with pytest.raises(
        LoadError, match=r"gatebridge\.auto:asgi on an ASGI server, :wsgi on a WSGI"
    ):
        getattr(auto("site_of_test:wsgi"), name)


def test_another_name_does_not_exist(auto: Auto) -> None:
    module = auto("site_of_test:wsgi")
    assert not hasattr(module, "other")
    with pytest.raises(AttributeError, match="'other', but it has asgi and wsgi"):
        module.other  # noqa: B018


def test_an_interface_that_is_none_is_refused(auto: Auto) -> None:
    with pytest.raises(LoadError, match=r"GATEBRIDGE_INTERFACE: .*'asgi3'"):
        auto("site_of_test:either", "asgi3")


def test_an_interface_that_the_application_cannot_have_is_refused(auto: Auto) -> None:
    with pytest.raises(LoadError, match="must be an ASGI application, but takes two arguments"):
        auto("site_of_test:wsgi", "asgi")
    with pytest.raises(
        LoadError, match="must be a WSGI application, but takes three arguments"
    ) as caught:
        auto("site_of_test:asgi", "wsgi")
    assert "--interface" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("broken_site:app", AttributeError),
        ("site_in_need:app", ModuleNotFoundError),
        ("site_of_test:failing_factory()", ZeroDivisionError),
    ],
)
def test_an_error_inside_of_the_application_is_shown_as_it_is(
    auto: Auto, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        auto(name)
    assert type(caught.value) is error
