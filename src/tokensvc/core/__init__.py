"""The pure room: values and decisions.

No I/O, no clock, no logging, no async. The time is always an argument.
"""
