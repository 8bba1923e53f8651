"""The pure room: values and decisions. No I/O, no clock, no logging, no async; time always comes in as an argument."""
