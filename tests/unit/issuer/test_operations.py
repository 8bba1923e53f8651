"""Every operation of the table is carried out by a function, and has its place."""

from __future__ import annotations

from tokensvc.issuer.operations.bindings import BINDINGS
from tokensvc.operations.table import OPERATIONS


def test_every_operation_of_the_table_has_a_function_and_none_more():
    assert sorted(BINDINGS) == sorted(OPERATIONS)


def test_no_two_operations_have_the_same_method_and_path():
    places = [(operation.method, operation.path) for operation in OPERATIONS.values()]
    assert len(set(places)) == len(places)


def test_every_parameter_of_a_path_is_a_field_of_the_request():
    for operation in OPERATIONS.values():
        fields = operation.request.model_fields
        assert set(operation.path_parameters) <= set(fields), operation.name
