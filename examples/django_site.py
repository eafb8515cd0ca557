"""FastAPI in a WSGI Django, mounted in both ways: within the URLconf, and beside Django.

pip install . django fastapi gunicorn                # in a checkout
gunicorn --chdir examples --threads 8 django_site    # on 127.0.0.1:8000
python examples/django_site.py                       # the same, on Django's development server

In the URLconf the application is behind Django's middleware. It sees who has signed in:

    site=http://127.0.0.1:8000
    curl -i $site/api/me                                                  # 302: sign in first
    token=$(curl -s -c cookies $site/sign-in)
    token=$(curl -s -b cookies -c cookies -H "X-CSRFToken: $token" \
        -d 'username=ada&password=lovelace' $site/sign-in)
    curl -b cookies $site/api/me                                          # {"name":"ada"}
    curl -N -b cookies $site/api/events                                   # one each second
    curl -b cookies -T README.md $site/api/upload                         # 403: no CSRF token
    curl -b cookies -T README.md -H "X-CSRFToken: $token" $site/api/upload

Beside Django it has the server to itself:

    curl $site/status/                                                    # {"opened":true}
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import django
from django.conf import settings
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from gatebridge import WsgiMounts

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "file:django_site?mode=memory&cache=shared",  # gone with the process
        }
    },
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    LOGIN_URL="/sign-in",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for this example only",  # noqa: S106
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
django.setup()

# What follows needs Django's settings.
from django.contrib.auth import authenticate, login  # noqa: E402
from django.contrib.auth.decorators import login_required  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.servers.basehttp import run  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from django.urls import path  # noqa: E402

from gatebridge.integrations.django import asgi_view, mount, request_of  # noqa: E402

# --- FastAPI --------------------------------------------------------------------------------------

api = FastAPI()


@api.get("/me")
async def me(request: Request) -> dict[str, str]:
    """Say who asks. `login_required` has loaded the user, so that async code may look at it."""
    return {"name": request_of(request.scope).user.username}


@api.put("/upload")
async def upload(request: Request) -> dict[str, int]:
    """Count the bytes as they come in."""
    size = 0
    async for part in request.stream():
        size += len(part)
    return {"size": size}


@api.get("/events")
async def events() -> StreamingResponse:
    """Send an event each second, for as long as there is somebody who listens."""

    async def numbers() -> AsyncIterator[str]:
        number = 0
        while True:
            yield f"data: {number}\n\n"
            number += 1
            await asyncio.sleep(1)

    return StreamingResponse(numbers(), media_type="text/event-stream")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, bool]]:
    yield {"opened": True}


status = FastAPI(lifespan=lifespan)


@status.get("/")
async def show_status(request: Request) -> dict[str, bool]:
    return {"opened": request.state.opened}


# --- Django ---------------------------------------------------------------------------------------


def sign_in(request: HttpRequest) -> HttpResponse:
    """Give out a token; with a user's name and password, sign that user in before."""
    if request.method == "POST":
        user = authenticate(
            request, username=request.POST["username"], password=request.POST["password"]
        )
        if user is None:
            return HttpResponse("unknown, or a wrong password", status=403)
        login(request, user)
    return HttpResponse(get_token(request))


urlpatterns = [
    path("sign-in", sign_in),
    mount("api", login_required(asgi_view(api))),
]

application = WsgiMounts(get_wsgi_application(), {"/status": status})

call_command("migrate", verbosity=0)
User.objects.create_user("ada", password="lovelace")  # noqa: S106

if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        run("127.0.0.1", int(os.environ.get("PORT", "8000")), application, threading=True)
