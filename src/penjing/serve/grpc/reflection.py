"""gRPC's server reflection: which services there are and what their messages look like. For tools such as grpcurl.

Source: grpc/grpc, ``doc/server-reflection.md``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import grpc

from penjing.security.needs import LOOK, Need
from penjing.serve.grpc.messages import message, pool

NAMES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
NEEDS: Mapping[str, Need] = MappingProxyType({"ServerReflectionInfo": LOOK})
_NOT_FOUND, _UNIMPLEMENTED = (int(grpc.StatusCode[name].value[0]) for name in ("NOT_FOUND", "UNIMPLEMENTED"))


class Reflection:
    """One version of the protocol. What it tells is the same for all, and names no model.

    Args:
        name: one of ``NAMES``.
        services: what it tells of.
    """

    def __init__(self, name: str, services: Sequence[str]) -> None:
        self.name = name
        self._services = services
        package = name.rpartition(".")[0]
        self._request, self._response = (
            message(f"{package}.ServerReflection{kind}") for kind in ("Request", "Response")
        )

    def handler(self) -> Any:
        """GRPC's handler of ``ServerReflectionInfo``."""
        return grpc.stream_stream_rpc_method_handler(
            self._answer,
            request_deserializer=self._request.FromString,
            response_serializer=self._response.SerializeToString,
        )

    async def _answer(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield self._told(request)

    def _told(self, request: Any) -> Any:
        response = self._response(valid_host=request.host, original_request=request)
        wanted = request.WhichOneof("message_request")
        if wanted == "list_services":
            for name in self._services:
                response.list_services_response.service.add(name=name)
            return response
        try:
            file = self._file(request, wanted)
        except KeyError as error:
            response.error_response.error_code = _NOT_FOUND
            response.error_response.error_message = str(error)
            return response
        if file is None:
            response.error_response.error_code = _UNIMPLEMENTED
            response.error_response.error_message = "only services, files and symbols are told of"
            return response
        response.file_descriptor_response.file_descriptor_proto.extend(
            one.serialized_pb for one in dict.fromkeys(_with_imports(file))
        )
        return response

    def _file(self, request: Any, wanted: str | None) -> Any:
        if wanted == "file_by_filename":
            return pool().FindFileByName(request.file_by_filename)
        if wanted == "file_containing_symbol":
            return pool().FindFileContainingSymbol(request.file_containing_symbol)
        return None


def _with_imports(file: Any) -> Iterator[Any]:
    yield file
    for needed in file.dependencies:
        yield from _with_imports(needed)
