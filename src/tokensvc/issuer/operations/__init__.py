"""How each operation of the table is carried out: one function for each, bound to its name.

call       what a function gets: who calls, and what it may work on
run        the way of every call: authorise, carry out
bindings   the function of each operation, found by its name
"""
