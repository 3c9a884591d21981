"""The frame of every run: owned, not finished before, its end noted however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from nni_wiring.errors import RunError, WiringError
from nni_wiring.runs.ownership import owned
from nni_wiring.runs.result import SearchResult
from nni_wiring.runs.room import free_room, keep_room
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.process import SearchStopped

Result = TypeVar("Result", bound=SearchResult)


def whole_run(folder: RunFolder, work: Callable[[], Result], *, resume: bool) -> Result:
    """Do the work of a run, keep its result, and let its status say how it ended.

    Args:
        folder: of the run; the process owns it meanwhile.
        work: what the run does.
        resume: it was begun before.

    Raises:
        OwnedError: another process writes the folder, which stays as it is.
        RunError: it was finished before.
        WiringError: of the work, or the result cannot be written.
    """
    with owned(folder):
        if resume and folder.status == "finished":
            raise RunError(f"run {folder.run_id} is finished; nothing is left to do")
        with end_noted(folder):
            result = work()
            folder.write_result(result)
            folder.set_status("finished")
    return result


@contextmanager
def end_noted(folder: RunFolder) -> Iterator[None]:
    """Let the status of ``folder`` say how the block ended, unless it ended well.

    Raises WiringError as the block does; where the status cannot be written, it says so too.
    """
    keep_room(folder.path)
    try:
        yield
    except (KeyboardInterrupt, SearchStopped):
        _note(folder, "interrupted", "stopped by the user")
        raise
    except WiringError as error:
        if not _note(folder, "failed", str(error)):
            says = f"its run.json, which cannot be written either, still says {folder.status!r}"
            raise type(error)(f"{error}; {says}") from None
        raise
    except Exception as error:
        line = next(iter(str(error).splitlines()), "")
        _note(folder, "failed", f"{type(error).__name__}: {line:.200}".rstrip(": "))
        raise
    finally:
        free_room(folder.path)


def _note(folder: RunFolder, status: str, error: str) -> bool:
    """Say how it ended; False where the folder takes nothing."""
    free_room(folder.path)
    try:
        folder.set_status(status, error)
    except WiringError:
        return False
    return True
