"""Files that are there as a whole, or not at all."""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any


def write_atomically(path: Any, data: bytes | bytearray) -> None:
    """Write a file so that whoever reads it, at whatever moment, sees the old or the new one.

    Parameters
    ----------
    path : str or path
        A link is followed; a device or a pipe is written to as it is.
    data : bytes

    Raises
    ------
    OSError
        If the path cannot be written, with its name; what was there is still there then.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
        else:
            _replace(target, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _replace(target: Path, data: bytes | bytearray) -> None:
    # In the same folder, because a file can be renamed within one file system only.
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Let the new name outlive a power cut, where the system can be asked for that."""
    with suppress(OSError):  # not on Windows, and not on every network drive
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
