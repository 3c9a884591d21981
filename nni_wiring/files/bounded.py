"""Other people's parsers in a child process whose memory and time are limited by the system.

A parser that is not ours may take gigabytes, or for ever, for a file of a few bytes, and nothing
inside the process can stop it. So it runs in a child: ``in_child(module, name, file, ..)`` calls
``module.name(stream, ..)`` there. The child gets the open file, not its path, and answers
with one JSON value, whose length is limited, too. Nothing is imported in the child but that module
and what it imports.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from importlib import import_module
from typing import Any, BinaryIO, NamedTuple

from nni_wiring.files.messages import printable

_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    "from nni_wiring.files.bounded import answer; answer()"
)
#: Threads reserve address space, and so do memory pools other than the system's.
_QUIET = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
_SECONDS_TO_WAIT = 60  # on the clock, for a child that waits instead of working


class Limits(NamedTuple):
    """The most that a child may take: memory (address space) and answer in bytes, CPU seconds."""

    memory: int = 1 << 30
    seconds: int = 10
    answer: int = 32 << 20


class ChildError(Exception):
    """One line: what the function raised, or the limit that its process ran into."""


def in_child(
    module: str,
    function: str,
    file: BinaryIO,
    *arguments: object,
    limits: Limits = Limits(),  # noqa: B008
) -> Any:  # noqa: ANN401
    """Call ``module.function(stream, *arguments)`` in a child process.

    Args:
        module, function: names; the function takes a binary stream first.
        file: an open regular file; the child reads it from its beginning.
        arguments: plain JSON values.
        limits: of the child.

    Raises:
        ChildError: the function raised, or the child was stopped.
    """
    task = json.dumps([module, function, arguments, limits.memory, limits.seconds])
    command = [sys.executable, "-c", _CHILD, json.dumps(sys.path), task]
    file.seek(0)
    with subprocess.Popen(  # noqa: S603
        command,
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_QUIET},
    ) as child:
        assert child.stdout is not None
        watch = threading.Timer(_SECONDS_TO_WAIT, child.kill)
        watch.start()
        try:
            answer = child.stdout.read(limits.answer + 1)
        finally:
            watch.cancel()
            child.kill()
    return _understood(answer, limits)


def _understood(answer: bytes, limits: Limits) -> Any:  # noqa: ANN401
    if len(answer) > limits.answer:
        raise ChildError(f"it unpacks to more than {limits.answer >> 20} MiB")
    if not answer.endswith(b"\n"):  # killed, or it died of lack of memory
        raise ChildError(
            f"reading it takes more than {limits.memory >> 20} MiB or {limits.seconds} s"
        )
    outcome = json.loads(answer)
    if "error" in outcome:
        raise ChildError(outcome["error"])
    return outcome["value"]


def answer() -> None:
    """The child's side: take the limits, then do the task and print its outcome."""
    import resource

    module, function, arguments, memory, seconds = json.loads(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it has nothing to write but its answer
    try:
        value = getattr(import_module(module), function)(sys.stdin.buffer, *arguments)
        text = json.dumps({"value": value}, default=str)
    except MemoryError:
        text = ""
    except Exception as error:  # noqa: BLE001  whatever a parser raises is the file's fault
        line = printable(" ".join(str(error).split()), 300) or type(error).__name__
        text = json.dumps({"error": line})
    if text:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
