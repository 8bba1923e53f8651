"""Everything that people and programs can do with the service: one table, many faces.

An operation is a row: its name, its HTTP method and path, who may call it, and what goes in and
comes out. The HTTP API, the OpenAPI document, the command line and the tests of rights are
made from these rows. Nothing here knows how an operation is carried out, so that a command line
far from the service needs this package and no database.

    operation         Operation, and who may call one
    model             what all requests and answers share
    accounts, keys, ...  the rows and models of one subject
    table             all rows
    finding           one row, without the models of the others
    validation        what a caller says becomes a request, or a refusal that names the fault
    rights            the one place that decides whether a caller may call
    openapi           the OpenAPI document of the table
"""
