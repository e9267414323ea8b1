"""Optional packages: imported when used, and named plainly when absent."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from penjing.core.errors import ResourceError


def require(module: str, *, extra: str) -> ModuleType:
    """Import ``module`` or say which extra carries it.

    Raises:
        ResourceError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] != module.split(".")[0]:
            raise  # the package is there but one of its own parts is missing
        raise _missing(module, extra) from error


def refuse_missing(module: str, *, extra: str) -> None:
    """Say which extra carries ``module`` where it is not installed; import nothing.

    Raises:
        ResourceError: the package is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise _missing(module, extra)


def _missing(module: str, extra: str) -> ResourceError:
    return ResourceError(
        f"package '{module}' is not installed",
        expected=f"the extra '{extra}'",
        do=f"Run: pip install 'penjing[{extra}]'",
    )
