"""The Flask application on an ASGI server: ``uvicorn --app-dir examples flask_on_uvicorn:app``."""

from flask_app import flask_app

from gatebridge import WsgiToAsgi

app = WsgiToAsgi(flask_app)
