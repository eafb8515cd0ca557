"""How Gunicorn serves an application whose clients keep streams open, such as mcp_in_flask.

gunicorn --config examples/gunicorn_conf.py --chdir examples mcp_in_flask:app
"""

import signal
import threading
from types import FrameType

from gunicorn.workers.gthread import ThreadWorker

worker_class = "gthread"
threads = 16  # each open stream holds one


def post_worker_init(worker: ThreadWorker) -> None:
    """Shut the mounts down at SIGTERM.

    Gunicorn would wait for the streams as long as it has (`graceful_timeout`), and then kill.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=worker.wsgi.wsgi_app.close).start()
        worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, stop)
