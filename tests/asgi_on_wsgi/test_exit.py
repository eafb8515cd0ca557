"""What becomes of an adapter that nobody closes when its interpreter exits."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from asgi_on_wsgi.scripts import run_script

pytestmark = pytest.mark.direction("a2w")

ALL = ["startup", "ok", "shutdown", "cleanup"]


@pytest.mark.clause("A-LIFE-05", "A-LIFE-06")
def test_the_application_shuts_down_at_the_exit(anyio_backend: Any) -> None:
    run_script(
        """
        adapter = Adapter(living(life))
        serve(adapter)
        """,
        anyio_backend,
        says=ALL,
    )


@pytest.mark.clause("A-LIFE-05")
def test_the_application_shuts_down_when_a_script_exits_early(anyio_backend: Any) -> None:
    run_script(
        """
        adapter = Adapter(living(life))
        serve(adapter)
        sys.exit(3)
        """,
        anyio_backend,
        status=3,
        says=ALL,
    )


@pytest.mark.clause("A-LIFE-05")
def test_the_application_shuts_down_when_a_script_fails(anyio_backend: Any) -> None:
    result = run_script(
        """
        adapter = Adapter(living(life))
        serve(adapter)
        raise RuntimeError("the script's own")
        """,
        anyio_backend,
        status=1,
        says=ALL,
    )
    assert result.stderr.count("Traceback") == 1, result.stderr


@pytest.mark.clause("A-LIFE-05")
def test_several_applications_shut_down_in_reverse(anyio_backend: Any) -> None:
    run_script(
        """
        def named(name):
            async def life(scope, receive, send):
                await started(receive, send)
                await stopped(receive, send)
                say(name)
            return life

        adapters = [Adapter(living(named(str(number)))) for number in range(9)]
        for adapter in adapters:
            adapter.startup()
        """,
        anyio_backend,
        says=[str(number) for number in reversed(range(9))],
    )


@pytest.mark.clause("A-LIFE-05")
def test_an_adapter_in_a_function_is_shut_down_once(anyio_backend: Any) -> None:
    """Collected before the exit, or just before it."""
    run_script(
        """
        def main():
            serve(Adapter(living(life)))
        main()
        """,
        anyio_backend,
        says=ALL,
    )


@pytest.mark.clause("A-LIFE-05")
def test_an_adapter_that_was_closed_is_not_shut_down_again_at_the_exit(anyio_backend: Any) -> None:
    run_script(
        """
        with Adapter(living(life)) as adapter:
            serve(adapter)
        """,
        anyio_backend,
        says=ALL,
    )


@pytest.mark.skipif(
    sys.version_info[:2] == (3, 12), reason="CPython 3.12 starts no thread once the exit has begun"
)
@pytest.mark.clause("A-LIFE-05")
@pytest.mark.parametrize("how", ["anyio.to_thread.run_sync(f)", "loop().run_in_executor(None, f)"])
def test_a_shutdown_at_the_exit_may_use_worker_threads(anyio_backend: Any, how: str) -> None:
    """The executors of the standard library still work."""
    if "loop" in how and anyio_backend[0] == "trio":
        pytest.skip("trio has no executors")
    run_script(
        f"""
        loop = asyncio.get_running_loop

        async def lifespan(scope, receive, send):
            await started(receive, send)
            await receive()
            f = functools.partial(say, "in a thread")
            await {how}
            await send({{"type": "lifespan.shutdown.complete"}})

        adapters = [Adapter(living(lifespan)), Adapter(living(lifespan))]
        for adapter in adapters:
            serve(adapter)
        """,
        anyio_backend,
        says=["ok", "ok", "in a thread", "in a thread"],
    )


@pytest.mark.clause("D-36")
def test_background_tasks_end_before_the_exit(anyio_backend: Any) -> None:
    run_script(
        """
        async def respond(scope, receive, send):
            await sending(start(), body(b"ok"))(scope, receive, send)
            await anyio.sleep(0.05)
            say("background")
        adapter = Adapter(living(life, respond))
        serve(adapter)
        """,
        anyio_backend,
        says=["startup", "ok", "background", "shutdown", "cleanup"],
    )


@pytest.mark.clause("A-LIFE-05")
def test_all_adapters_are_shut_down_though_one_fails(anyio_backend: Any) -> None:
    result = run_script(
        """
        async def failing(scope, receive, send):
            await started(receive, send)
            await receive()
            await send({"type": "lifespan.shutdown.failed", "message": "stuck"})
        adapters = [Adapter(living(failing)), Adapter(living(life)), Adapter(living(failing))]
        for adapter in adapters:
            adapter.startup()
        sys.exit(1)
        """,
        anyio_backend,
        status=1,
        says=["startup", "shutdown", "cleanup"],
    )
    assert result.stderr == "lifespan.shutdown.failed: stuck\n" * 2


AFTER_THE_MAIN_THREAD = """
main_thread_ends = threading.Event()
at_exit(main_thread_ends.set)
adapter = Adapter(living(life))

def server():
    main_thread_ends.wait()
    serve(adapter)
    serve(adapter)
"""


@pytest.mark.clause("A-LIFE-05", "D-53")
def test_a_server_in_a_thread_serves_on_after_the_main_thread(anyio_backend: Any) -> None:
    """As embedding hosts start it. The interpreter waits for such a thread, and so does the end."""
    run_script(
        AFTER_THE_MAIN_THREAD
        + """
adapter.startup()
threading.Thread(target=server).start()
""",
        anyio_backend,
        says=["startup", "ok", "ok", "shutdown", "cleanup"],
    )


@pytest.mark.skipif(
    sys.version_info[:2] == (3, 12), reason="CPython 3.12 starts no thread once the exit has begun"
)
@pytest.mark.clause("A-LIFE-05", "D-53")
def test_an_application_may_start_after_the_main_thread(anyio_backend: Any) -> None:
    run_script(
        AFTER_THE_MAIN_THREAD + "threading.Thread(target=server).start()",
        anyio_backend,
        says=["startup", "ok", "ok", "shutdown", "cleanup"],
    )


@pytest.mark.clause("A-LIFE-05", "D-53")
def test_ctrl_c_ends_the_wait_for_a_server_in_a_thread(anyio_backend: Any) -> None:
    """As it ends that of the interpreter. The application still shuts down."""
    run_script(
        AFTER_THE_MAIN_THREAD
        + """
import signal

class Server(threading.Thread):
    def join(self, timeout=None):
        is_waited_for.set()
        super().join(timeout)

    def run(self):
        is_waited_for.wait()
        while not handled.wait(0.1):  # the one that comes just before the wait has no effect
            os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait()

def interrupt(*args):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    handled.set()
    raise KeyboardInterrupt

is_waited_for, handled = threading.Event(), threading.Event()
signal.signal(signal.SIGINT, interrupt)
sys.unraisablehook = lambda unraisable: say(unraisable.exc_type.__name__)
adapter.startup()
Server().start()
""",
        anyio_backend,
        says=["startup", "shutdown", "cleanup", "KeyboardInterrupt"],
    )


@pytest.mark.clause("A-LIFE-05", "D-53")
def test_a_server_that_is_stopped_after_the_main_thread_serves_until_then(
    anyio_backend: Any,
) -> None:
    """By a thread that waits for the main thread, which cannot end before the exit goes on."""
    run_script(
        """
        adapter = Adapter(living(life))
        adapter.startup()
        requests, stop = threading.Event(), threading.Event()

        def server():
            requests.wait()
            serve(adapter)
            stop.wait()

        def stop_server():
            threading.main_thread().join()
            requests.set()
            stop.set()

        threading.Thread(target=server).start()
        threading.Thread(target=stop_server, daemon=True).start()
        """,
        anyio_backend,
        says=["startup", "ok", "shutdown", "cleanup"],
    )


@pytest.mark.clause("A-LIFE-05", "D-53")
def test_a_thread_that_was_there_before_the_adapter_does_not_hold_up_the_exit(
    anyio_backend: Any,
) -> None:
    """The application's modules may have started it, for its shutdown to end."""
    run_script(
        """
        down = threading.Event()

        async def lifespan(scope, receive, send):
            await life(scope, receive, send)
            down.set()

        threading.Thread(target=down.wait).start()
        adapter = Adapter(living(lifespan))
        adapter.startup()
        """,
        anyio_backend,
        says=["startup", "shutdown", "cleanup"],
    )


@pytest.mark.clause("A-LIFE-05", "D-53")
def test_a_server_that_was_there_before_the_adapter_serves_on(anyio_backend: Any) -> None:
    """The thread has called the adapter."""
    run_script(
        """
        main_thread_ends, made, served = (threading.Event() for _ in range(3))
        threading._register_atexit(main_thread_ends.set)

        def server():
            made.wait()
            serve(adapter)
            served.set()
            main_thread_ends.wait()
            serve(adapter)

        threading.Thread(target=server).start()
        adapter = Adapter(living(life))
        made.set()
        served.wait()
        """,
        anyio_backend,
        says=["startup", "ok", "ok", "shutdown", "cleanup"],
    )


@pytest.mark.clause("D-53")
def test_a_thread_that_the_exit_waits_for_is_named(anyio_backend: Any) -> None:
    result = run_script(
        """
        import logging
        from gatebridge._asgi_on_wsgi import interpreter_exit

        class Handler(logging.Handler):
            def emit(self, record):
                say(record.getMessage())
                may_end.set()

        may_end = threading.Event()
        logging.getLogger("gatebridge").addHandler(Handler())
        interpreter_exit._WARN_SECONDS = 0.01
        adapter = Adapter(living(life))
        adapter.startup()
        threading.Thread(target=may_end.wait, name="server").start()
        """,
        anyio_backend,
        says=[
            "startup",
            (
                "the applications shut down when thread 'server' has ended; "
                "if it serves no requests, make it a daemon"
            ),
            "shutdown",
            "cleanup",
        ],
    )
    assert result.returncode == 0


@pytest.mark.clause("A-LIFE-05", "D-53")
def test_threads_that_only_the_exit_ends_do_not_hold_it_up(anyio_backend: Any) -> None:
    """Where the requests came in the main thread: it has no server in another one."""
    run_script(
        """
        import concurrent.futures
        down = threading.Event()

        async def lifespan(scope, receive, send):
            threading.Thread(target=down.wait, daemon=False).start()
            await life(scope, receive, send)
            down.set()

        executor = concurrent.futures.ThreadPoolExecutor()
        executor.submit(int).result()
        adapter = Adapter(living(lifespan))
        serve(adapter)
        """,
        anyio_backend,
        says=ALL,
    )


@pytest.mark.clause("A-LIFE-05")
def test_a_daemon_that_serves_on_during_the_exit_is_refused(anyio_backend: Any) -> None:
    """Nothing waits for it. No lifespan begins anew."""
    run_script(
        """
        from gatebridge.errors import UnavailableError
        down, refused = threading.Event(), threading.Event()

        async def lifespan(scope, receive, send):
            await life(scope, receive, send)
            down.set()

        def serve_on():
            down.wait()
            try:
                while True:
                    adapter(Host().environ, lambda *args: print)
            except UnavailableError as exc:
                say("refused")
            adapter.close()
            try:
                adapter.startup()
            except UnavailableError as exc:
                say(exc)
            refused.set()

        at_exit(refused.wait, last=True)
        adapter = Adapter(living(lifespan))
        adapter.startup()
        threading.Thread(target=serve_on, daemon=True).start()
        """,
        anyio_backend,
        says=["startup", "shutdown", "cleanup", "refused", "startup: the interpreter is exiting"],
    )


@pytest.mark.clause("A-LIFE-05")
def test_a_daemon_that_closes_during_the_exit_waits_for_it(anyio_backend: Any) -> None:
    run_script(
        """
        begun, closed = threading.Event(), threading.Event()

        async def lifespan(scope, receive, send):
            await started(receive, send)
            await receive()
            begun.set()
            await anyio.sleep(0.1)
            say("shutdown")
            await send({"type": "lifespan.shutdown.complete"})

        def close():
            begun.wait()
            adapter.close()
            say("closed")
            closed.set()

        at_exit(closed.wait, last=True)
        adapter = Adapter(living(lifespan))
        adapter.startup()
        threading.Thread(target=close, daemon=True).start()
        """,
        anyio_backend,
        says=["shutdown", "closed"],
    )


@pytest.mark.clause("A-LIFE-05")
def test_a_child_of_multiprocessing_shuts_down_at_its_end(anyio_backend: Any) -> None:
    run_script(
        """
        import multiprocessing

        adapter = Adapter(living(life))
        serve(adapter)
        child = multiprocessing.get_context("fork").Process(target=serve, args=(adapter,))
        child.start()
        child.join()
        say("status", child.exitcode)
        """,
        anyio_backend,
        says=[
            "startup",
            "ok",
            *(f"child: {line}" for line in ALL),
            "status 0",
            "shutdown",
            "cleanup",
        ],
    )


@pytest.mark.clause("A-LIFE-05")
def test_an_adapter_on_a_portal_of_anyio_shuts_down_when_the_script_leaves_it(
    anyio_backend: Any,
) -> None:
    run_script(
        """
        from anyio.from_thread import start_blocking_portal
        with start_blocking_portal(backend, options) as portal:
            adapter = AsgiToWsgi(living(life), portal=portal)
            serve(adapter)
        """,
        anyio_backend,
        says=ALL,
    )
