"""The protocols' messages and services, made from their descriptors when first used.

``protos/*.proto`` are written by hand; ``protos/descriptors.binpb`` is what ``scripts/write_protos.py``
makes of them. Promise: they live in a pool of their own, so that a process may load the generated code of
TensorFlow, tensorflow-serving-api or tritonclient as well, whose names are the same. Trade: classes made at
run time are ``Any`` to a type checker.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from penjing.core.errors import MalformedError

DESCRIPTORS = Path(__file__).with_name("protos") / "descriptors.binpb"


@cache
def pool() -> Any:
    """The pool that knows every message and service of ours."""
    made = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        made.Add(file)
    return made


@cache
def message(name: str) -> Any:
    """The class of a message.

    Args:
        name: with its package, such as ``tensorflow.serving.PredictRequest``.
    """
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))


def service(name: str) -> Any:
    """The descriptor of a service, by its name with its package."""
    return pool().FindServiceByName(name)


def class_of(descriptor: Any) -> Any:
    """The class of a message's descriptor."""
    return message(descriptor.full_name)


def filled(name: str, values: dict[str, Any]) -> Any:
    """A message from its JSON form; what our subset of it has not is left out."""
    return json_format.ParseDict(values, message(name)(), ignore_unknown_fields=True)


def read(kind: Any, raw: bytes) -> Any:
    """A message from its bytes.

    Raises:
        MalformedError: they are none of this kind.
    """
    try:
        return kind.FromString(raw)
    except Exception as error:
        raise MalformedError(
            f"the message cannot be read as {kind.DESCRIPTOR.full_name}", expected="what the protocol says"
        ) from error
