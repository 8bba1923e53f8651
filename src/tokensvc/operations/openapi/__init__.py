"""The OpenAPI 3.1 document: what can be asked of the service, and all that it may answer.

document    build_document: all of it
schemas     the models of the table as JSON schemas
requests    the request of an operation as parameters and body
answers     what an operation may answer: headers, problems and their examples
endpoints   all other endpoints: tokens, revocation, feed, published documents, health
endpoint_schemas   what goes in and comes out of these
examples    what examples are made of
"""

from __future__ import annotations

from tokensvc.operations.openapi.document import build_document

__all__ = ["build_document"]
