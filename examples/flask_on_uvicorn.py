"""A Flask application on an ASGI server.

uvicorn --app-dir examples flask_on_uvicorn:app

    curl http://127.0.0.1:8000/
    curl http://127.0.0.1:8000/upload -F title=Invoice -F file=@README.md
    curl http://127.0.0.1:8000/download?blocks=3
"""

from flask_app import flask_app

from gatebridge import WsgiToAsgi

app = WsgiToAsgi(flask_app)
