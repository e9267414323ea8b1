"""``scripts/write_reference.py`` as a module, and the commands it finds."""

import importlib.util
import sys

from docs.markdown import ROOT


def _load():
    spec = importlib.util.spec_from_file_location("write_reference", ROOT / "scripts" / "write_reference.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


WRITER = _load()
COMMANDS = {command.name: command for command in WRITER.commands()}
