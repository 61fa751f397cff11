"""The native pump's C under instruments: sanitizers, fuzzing, other processors.

    tree         a copy of the checkout whose module is built for a sanitizer
    reports      what sanitizers wrote, and which of it is about our C
    planted.c    mistakes on purpose, in that module alone, to see that each is reported
    sanitize     `make sanitize`, `make sanitize-threads`
    fuzz         `make fuzz-native`; what it compiles is in tests/fuzz/native
    foreign      Debian's Python for other processors
    wheels       `make wheels`

A sanitizer must be loaded before the interpreter starts, so it sees CPython's and others' memory
and threads too. What it says about those is not ours to mend and is left out.
"""
