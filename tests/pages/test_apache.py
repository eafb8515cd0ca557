"""The site that the page about deployment shows for Apache, which only root can set up so."""

from __future__ import annotations

import signal
import socket
import sysconfig
from pathlib import Path

import httpx
import pytest

from pages.blocks import blocks_of
from pages.session import ROOT
from servers.hosts import (
    APACHE,
    APACHE_ALONE,
    APACHE_MODULES,
    as_apache,
    lacks_mod_wsgi_for_this_python,
)
from servers.needs import require
from servers.processes import HANG, PATHS, run_server, wait_until_it_listens

PAGE = ROOT / "docs/how-to/deployment/wsgi-servers.md"

# As with an Apache of Debian, where a site is one file of many.
AROUND = (
    APACHE_ALONE
    + """\
<Directory />
Require all denied
</Directory>
Include {folder}/shop.conf
"""
)


def apache(folder: Path, listener: socket.socket) -> list[str]:
    port = listener.getsockname()[1]
    paths = ":".join(map(str, [folder, *PATHS, sysconfig.get_path("platlib")]))
    environment = "python-home=/srv/shop/.venv python-path=/srv/shop"
    for block in blocks_of(PAGE):
        if block.file_name in ("api.py", "shop.wsgi", "shop.conf"):
            text = block.text
            if block.file_name == "shop.conf":
                assert environment in text  # for which the tests' own has to do
                text = text.replace(environment, f"python-path={paths}")
                text = text.replace("*:80>", f"127.0.0.1:{port}>")
            (folder / block.file_name).write_text(text.replace("/srv/shop", str(folder)))
    configuration = folder / "apache.conf"
    configuration.write_text(AROUND.format(folder=folder, port=port, modules=APACHE_MODULES))
    return [*as_apache(folder), APACHE, "-f", str(configuration), "-DFOREGROUND"]


def test_the_site_serves_and_shuts_down() -> None:
    pytest.importorskip("fastapi")
    require(lacks_mod_wsgi_for_this_python())
    with run_server(apache, listen=False) as server:
        wait_until_it_listens(server)
        answer = httpx.get(f"{server.url}/", timeout=HANG, trust_env=False)
        assert answer.json() == {"greeting": "Hello", "url": f"{server.url}/"}
        server.stop(signal.SIGWINCH)
        assert server.output().count("the API is down") == 1, server.output()
