"""Every operation of the table is carried out by a function, and has its place."""

from __future__ import annotations

import pytest

from tokensvc.issuer.operations.bindings import load_function
from tokensvc.operations.finding import load_operation
from tokensvc.operations.table import OPERATIONS


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_of_the_table_has_a_function_and_is_found_by_its_name(name):
    assert callable(load_function(name))
    assert load_operation(name) is OPERATIONS[name]


def test_what_is_no_operation_is_not_found():
    for load in (load_function, load_operation):
        with pytest.raises(LookupError):
            load("keys.nonsense")


def test_no_two_operations_have_the_same_method_and_path():
    places = [(operation.method, operation.path) for operation in OPERATIONS.values()]
    assert len(set(places)) == len(places)


def test_every_parameter_of_a_path_is_a_field_of_the_request():
    for operation in OPERATIONS.values():
        fields = operation.request.model_fields
        assert set(operation.path_parameters) <= set(fields), operation.name
