"""WebSockets on real WSGI servers, as a client on the network sees them."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from websockets import ClientConnection, ConnectionClosed, Subprotocol
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from werkzeug.serving import make_server

from gatebridge import AsgiToWsgi
from servers import websocket_app

pytestmark = [pytest.mark.direction("a2w"), pytest.mark.clause("D-42", "C-08")]
