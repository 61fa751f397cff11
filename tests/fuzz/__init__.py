"""Fuzzing: what a peer or a file may hold, by the million, against what must hold whatever it is.

A *target* (`targets/`) is a function that takes bytes, makes of them a peer or a file, and asserts
its invariants; it gives back how many messages that were. An *engine* (`engines`) thinks of the
bytes: atheris, which is guided by coverage, or plain random mutation of the seeds, which holds no
memory of its own and therefore shows whether ours grows.

Bytes are read by `draw`, so that a saved input means the same under every engine and in the unit
test that replays `regressions/`: one folder for each target, one file for each input that once
found something.
"""
