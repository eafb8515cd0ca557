"""A function in a process of its own: it may hang, leak and be killed without harm to the rest."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from typing import TypeVar

T = TypeVar("T")


class ChildEnded(Exception):  # noqa: N818 - what became of it
    """The child process did not get to its end."""


def in_child(function: Callable[..., Iterable[T]], *args: object, patience: float) -> Iterator[T]:
    """Call ``function`` in a fresh interpreter and yield what it yields; in the end, kill it.

    Raises:
        ChildEnded: Nothing came for ``patience`` seconds, or it died.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, function, args), daemon=True)
    process.start()
    sender.close()
    try:
        while True:
            if not receiver.poll(patience):
                raise ChildEnded(f"nothing for {patience:g} seconds")
            try:
                done, item = receiver.recv()
            except EOFError:
                raise ChildEnded("died") from None
            if done:
                return
            yield item
    finally:
        process.kill()
        process.join()
        receiver.close()


def _run(sender: Connection, function: Callable[..., Iterable[object]], args: object) -> None:
    assert isinstance(args, tuple)
    for item in function(*args):
        sender.send((False, item))
    sender.send((True, None))
    os._exit(0)  # threads that hang must not keep it
