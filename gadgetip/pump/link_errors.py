"""What a failing stream means for the link, in the user's words."""

import errno

from gadgetip.errors import LinkLostError


def link_error(error: OSError) -> LinkLostError:
    """The error that says how a connection ended."""
    if error.errno == errno.ECONNRESET:
        return LinkLostError("the server reset the connection")
    if error.errno == errno.ECONNABORTED:
        return LinkLostError("the connection was aborted on this machine")
    if error.errno in {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH}:
        return LinkLostError("the server does not answer any more")
    return LinkLostError(f"the connection broke: {error.strerror or error}")
