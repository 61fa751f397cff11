"""Which pump this installation has.

The room `pump` opens the C library libaio when it is imported, so it is imported only when asked,
and where the library is missing there is no pump at all.
"""


def which_pump() -> str:
    """In words: "native pump", "Python pump: …" or "no pump: …", the last two with the reason."""
    try:
        from gadgetip.pump.native_module import pump_in  # noqa: PLC0415 (opens libaio)
    except (OSError, ImportError) as error:
        return f"no pump: {error}"
    return pump_in()


def why_no_native_pump() -> str:
    """Why the native pump cannot be used, "" if it can; only where libaio can be opened."""
    from gadgetip.pump.native_module import why_not  # noqa: PLC0415 (opens libaio)

    return why_not()
