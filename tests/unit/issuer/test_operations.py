"""Every operation of the table is carried out by a function, and has its place."""

from __future__ import annotations

import pytest

from tokensvc.core.operation_name import OPERATION_NAMES
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


def test_the_audit_trail_knows_the_name_of_every_operation_that_changes_something():
    """Others are told under the name of what they do: `keys.batch` is many of `keys.revoke`."""
    changing = {operation.name for operation in OPERATIONS.values() if operation.changes}
    told_otherwise = {"keys.batch", "revocations.create", "tokens.inspect"}
    assert changing - set(OPERATION_NAMES) == told_otherwise
