"""Servers that are no Python packages: uWSGI, Apache with mod_wsgi, nginx."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from servers.processes import PATHS, Command

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"

PYUWSGI = str(Path(sys.executable).with_name("pyuwsgi"))
UWSGI = shutil.which("uwsgi") or ""
APACHE = shutil.which("apache2", path=_PATH) or ""
NGINX = shutil.which("nginx", path=_PATH) or ""
APACHE_MODULES = Path("/usr/lib/apache2/modules")
MOD_WSGI = APACHE_MODULES / "mod_wsgi.so"


def lacks_uwsgi() -> str | None:
    return None if UWSGI else "uWSGI is not installed"


def lacks_mod_wsgi() -> str | None:
    return None if APACHE and MOD_WSGI.exists() else "Apache with mod_wsgi is not installed"


def lacks_nginx() -> str | None:
    return None if NGINX else "nginx is not installed"


def versions() -> Iterator[tuple[str, str]]:
    """Yield names and versions of Apache, mod_wsgi and nginx, where they are installed."""
    if not lacks_mod_wsgi():
        yield "Apache", _found(rb"Apache/([\d.]+)", _output([APACHE, "-v"]))
        package = _output(["dpkg-query", "--show", "libapache2-mod-wsgi-py3"])
        yield "mod_wsgi", _found(rb"\t([\d.]+)", package)
    if not lacks_nginx():
        yield "nginx", _found(rb"nginx/([\d.]+)", _output([NGINX, "-v"]))


def _output(command: Sequence[str]) -> bytes:
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
    ).stdout


def _found(pattern: bytes, text: bytes) -> str:
    found = re.search(pattern, text)
    return found[1].decode() if found else "of an unknown version"


# --- uWSGI ----------------------------------------------------------------------------------------


def uwsgi(*options: str) -> Command:
    """Return the command of the uWSGI that is installed as a package."""

    def command(folder: Path, listener: socket.socket) -> list[str]:
        port = listener.getsockname()[1]
        return [
            *(PYUWSGI, "--module=gatebridge.auto:wsgi", "--need-app", "--master"),
            *(f"--http-socket=127.0.0.1:{port}", *options),
            "--hook-master-start=unix_signal:15 gracefully_kill_them_all",
        ]

    return command


def uwsgi_plugin(program: str) -> list[str]:
    """Return the options that load Python, which a distribution's uWSGI has as a plugin."""
    known = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    return [] if "--wsgi-file" in known else ["--plugin=python3"]


# --- Apache ---------------------------------------------------------------------------------------

APACHE_ALONE = """\
ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/output
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule wsgi_module {modules}/mod_wsgi.so
WSGISocketPrefix {folder}/wsgi
"""
"""What an Apache of one's own has around a site."""

_APACHE = (
    APACHE_ALONE
    + """\
StartServers 1
ServerLimit 1
MaxRequestWorkers 25
GracefulShutdownTimeout 20
WSGIDaemonProcess site home={folder} processes=1 threads=12 shutdown-timeout=20 python-path={paths}
WSGIPythonPath {paths}
WSGIChunkedRequest On
WSGIScriptAlias / {folder}/site.wsgi {where}
WSGIImportScript {folder}/site.wsgi {where}
<Directory {folder}>
Require all granted
</Directory>
"""
)


def lacks_mod_wsgi_for_this_python() -> str | None:
    """Return what is missing to import there what is installed here."""
    lack = lacks_mod_wsgi()
    if lack:
        return lack
    ours = f"libpython3.{sys.version_info.minor}"
    (theirs,) = set(re.findall(rb"libpython3\.\d+", MOD_WSGI.read_bytes()))
    return None if theirs.decode() == ours else f"mod_wsgi has {theirs.decode()}, not {ours}"


def mod_wsgi(process_group: str) -> Command:
    def command(folder: Path, listener: socket.socket) -> list[str]:
        script = folder / "site.wsgi"
        script.write_text("from gatebridge.auto import wsgi as application\n")
        configuration = folder / "apache.conf"
        configuration.write_text(
            _APACHE.format(
                folder=folder,
                port=listener.getsockname()[1],
                modules=APACHE_MODULES,
                paths=":".join(map(str, [*PATHS, sysconfig.get_path("platlib")])),
                where=f"process-group={process_group} application-group=%{{GLOBAL}}",
            )
        )
        return [*as_apache(folder), APACHE, "-f", str(configuration), "-DFOREGROUND"]

    return command


def as_apache(folder: Path) -> list[str]:
    """Return what is put before a command, because Apache never serves as root.

    It keeps what root may read, for it has to import from wherever this checkout is.
    """
    if os.getuid():
        return []
    shutil.chown(folder, "www-data")
    (folder / "output").touch()
    shutil.chown(folder / "output", "www-data")
    return [
        *("setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups"),
        *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
    ]


# --- nginx ----------------------------------------------------------------------------------------

_NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
}}
"""


def nginx(upstream: int) -> Command:
    """Return the command of nginx before a server on that port."""

    def command(folder: Path, listener: socket.socket) -> list[str]:
        configuration = folder / "nginx.conf"
        port = listener.getsockname()[1]
        configuration.write_text(_NGINX.format(folder=folder, port=port, upstream=upstream))
        return [NGINX, "-e", "stderr", "-p", str(folder), "-c", str(configuration)]

    return command
