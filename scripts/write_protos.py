#!/usr/bin/env python3
"""Write src/penjing/serve/grpc/protos/descriptors.binpb from the .proto files beside it.

Needs grpcio-tools, which has protoc in it; the server does not. ``tests/serve/grpc/test_messages.py`` fails
where the descriptors are stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROTOS = Path(__file__).resolve().parents[1] / "src" / "penjing" / "serve" / "grpc" / "protos"


def write(target: Path) -> int:
    """Compile every .proto file; protoc's exit status."""
    import grpc_tools
    from grpc_tools import protoc

    googles = Path(grpc_tools.__file__).with_name("_proto")
    names = sorted(path.name for path in PROTOS.glob("*.proto"))
    told = [f"-I{PROTOS}", f"-I{googles}", "--include_imports", f"--descriptor_set_out={target}"]
    return protoc.main(["protoc", *told, *names])


if __name__ == "__main__":
    sys.exit(write(PROTOS / "descriptors.binpb"))
