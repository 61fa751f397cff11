"""Builds the native pump's module `gadgetip.pump._native`, where this machine can.

Everything else about the package is in pyproject.toml. Without a C compiler or Python's headers the
package is installed all the same, as pure Python, and one line says so.

`GADGETIP_NATIVE` decides otherwise: with `require` a module that cannot be built is an error, with
`skip` none is built. `GADGETIP_SANITIZE` (`address,undefined` or `thread`) builds it for a
sanitizer. docs/native-pump.md says more.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError

NATIVE = Path("gadgetip/pump/native")
OLDEST_PYTHON = "cp311"
LIMITED_API = "0x030B0000"
"""One module serves this version of CPython and every later one (PEP 384)."""

CODE = ("-std=gnu11", "-Wall", "-Wextra", "-fvisibility=hidden")
HARDENING = (
    "-O2",
    "-U_FORTIFY_SOURCE",
    "-D_FORTIFY_SOURCE=3",
    "-fstack-protector-strong",
    "-fstack-clash-protection",
    "-fcf-protection",  # x86 has it
    "-mbranch-protection=standard",  # AArch64 has it
)
LINK_HARDENING = ("-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack")
SANITIZED = (
    "-O1",
    "-g",
    "-UNDEBUG",
    "-U_FORTIFY_SOURCE",  # it puts other functions in the place of those that a sanitizer watches
    "-fno-wrapv",  # Python's own flags define what overflows, and nothing would be reported
    "-fno-omit-frame-pointer",
    "-fno-sanitize-recover=all",
)

FALLBACK = "the native pump is not built, the Python pump will run"
REMEDY = "For the native one: apt install gcc python3-dev, and install gadgetip again"


class BuildNative(build_ext):
    """Adds the flags that the compiler knows."""

    def build_extension(self, ext: Extension) -> None:
        """Compile and link the module; raises CompileError or LinkError."""
        sanitizer = os.environ.get("GADGETIP_SANITIZE")
        if sanitizer:
            ext.extra_compile_args = [*CODE, f"-fsanitize={sanitizer}", *SANITIZED]
            ext.extra_link_args = [f"-fsanitize={sanitizer}"]
        else:
            known = [flag for flag in HARDENING if not refusal(NOTHING, "-Werror", "-O2", flag)]
            ext.extra_compile_args = [*CODE, *known]
            ext.extra_link_args = list(LINK_HARDENING)
        try:
            super().build_extension(ext)
        except CCompilerError:
            if ext.optional:
                say(f"{FALLBACK}: the compiler refuses its sources (pip -v shows why). {REMEDY}")
            raise


NOTHING = "int main(void) { return 0; }\n"


def refusal(text: str, *flags: str) -> str:
    """What the compiler says against this text; "" if it compiles."""
    words = [os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"]
    words += [os.environ.get(name, "") for name in ("CPPFLAGS", "CFLAGS")]
    compiler = [flag for word in words for flag in shlex.split(word)]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(text)
        command = [*compiler, *flags, "-c", str(source), "-o", str(source.with_suffix(".o"))]
        try:
            subprocess.run(
                command, check=True, capture_output=True, stdin=subprocess.DEVNULL, text=True
            )
        except OSError as error:
            return error.strerror or str(error)
        except subprocess.CalledProcessError as error:
            return str(error.stderr) or str(error)
    return ""


def obstacle() -> str:
    """What stands in the way of building the module; "" if nothing does."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this Python has no stable binary interface"
    if refusal(NOTHING):
        return "there is no C compiler that works"
    if refusal("#include <Python.h>\n", f"-I{sysconfig.get_path('include')}"):
        return "Python's C headers are missing"
    return ""


def say(text: str) -> None:
    """Tell whoever installs, in one line.

    pip hides what is printed; from version 26.3 on it shows warnings, if it builds a local folder.
    """
    warnings.warn_explicit(text, UserWarning, "gadgetip", 0)


def main() -> None:
    """Build what was asked for."""
    wanted = os.environ.get("GADGETIP_NATIVE", "auto")
    if wanted not in {"auto", "require", "skip"}:
        raise SystemExit(f"gadgetip: GADGETIP_NATIVE={wanted}: one of auto, require, skip")
    reason = "" if wanted == "skip" else obstacle()
    if reason and wanted == "require":
        raise SystemExit(f"gadgetip: the native pump cannot be built: {reason}")
    if reason and {"bdist_wheel", "editable_wheel"} & set(sys.argv):
        say(f"{FALLBACK}: {reason}. {REMEDY}")
    if reason or wanted == "skip":
        setup()
        return
    module = Extension(
        "gadgetip.pump._native",
        sources=sorted(map(str, NATIVE.glob("*.c"))),
        depends=sorted(map(str, NATIVE.glob("*.h"))),
        define_macros=[("Py_LIMITED_API", LIMITED_API), ("_GNU_SOURCE", None)],
        py_limited_api=True,
        # Sources that a compiler refuses, for a reason that nobody foresaw, are no reason to be
        # without gadgetip.
        optional=wanted != "require",
    )
    setup(
        ext_modules=[module],
        cmdclass={"build_ext": BuildNative},
        options={"bdist_wheel": {"py_limited_api": OLDEST_PYTHON}},
    )


main()
