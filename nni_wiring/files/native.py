"""C and C++ sources of the package, compiled on this machine once per version and kept."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from nni_wiring.files.atomic import replacing

#: By suffix of the source: the environment's variable for the compiler, and its usual names.
_COMPILERS = {".c": ("CC", "cc", "gcc"), ".cpp": ("CXX", "c++", "g++")}
_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fPIC", "-shared")
_SECONDS = 300


def shared_library(source: Path, folder: Path, *flags: str, headers: Sequence[Path] = ()) -> Path:
    """The file of the compiled ``source`` in ``folder``, made where it is not there yet.

    Its name holds a hash of source, headers, flags, the compiler's version and the processor,
    since ``-march=native`` compiles for this one.

    Args:
        source: a .c or .cpp file.
        folder: of compiled files; made where it is missing.
        flags: beside those for speed and a shared library.
        headers: all that the source includes from beside it.

    Raises:
        OSError, subprocess.SubprocessError: no compiler, or it refuses; one line.
    """
    compiler = _compiler(source.suffix)
    command = (*compiler, *_FLAGS, *flags)
    texts = (file.read_text(encoding="utf-8") for file in (source, *headers))
    parts = (*texts, *command, _machine(compiler))
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    path = folder / f"{source.stem}-{digest}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            # the compiler's own files go there too: the folder of temporary files may be full
            _run(*command, str(source), "-o", str(temporary), "-lm", TMPDIR=str(folder))
    return path


def _compiler(suffix: str) -> tuple[str, ...]:
    variable, *names = _COMPILERS[suffix]
    found = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    if not found:
        raise FileNotFoundError(f"no compiler: neither ${variable} nor {' nor '.join(names)}")
    return tuple(shlex.split(found))


def _run(*command: str, **environment: str) -> str:
    """The output of a command; SubprocessError, with its first complaint, on failure."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
        env=os.environ | environment,
    )
    if done.returncode:
        complaint = (done.stderr.strip() or "-").splitlines()[0]
        raise subprocess.SubprocessError(f"{command[0]}: {complaint:.200}")
    return done.stdout


@cache
def _machine(compiler: tuple[str, ...]) -> str:
    """The compiler's version and what the processor can do."""
    processor = [platform.machine(), platform.processor()]
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        lines = facts.read_text(errors="replace").splitlines()
        processor += sorted({x for x in lines if x.startswith(("model name", "flags", "Features"))})
    return "\n".join([_run(*compiler, "--version"), *processor])
