# The native pump's C: built into the checkout, checked, run under sanitizers, fuzzed, made wheels of.
# docs/native-pump.md says what each is for.

NATIVE := gadgetip/pump/_native.abi3.so
NATIVE_SOURCES := $(sort $(wildcard gadgetip/pump/native/*.[ch]))

.PHONY: native native-check

native: setup  ## Build the native pump again, if its sources have changed

$(NATIVE): $(NATIVE_SOURCES) setup.py $(STAMP)
	@echo "setup: the native pump"
	@GADGETIP_NATIVE=require $(BIN)/python setup.py --quiet build_ext --inplace --force

# gcc's own analyzer follows paths through a function and between those of a file: leaks, double
# frees, null pointers, files not closed. cppcheck looks at all files and knows other mistakes.
# A user's compiler may be newer and warn of more: only here is a warning an error.
NATIVE_WARNINGS := -Werror -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wvla -Wcast-qual \
	-Wcast-align=strict -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wpointer-arith -Wwrite-strings -Wformat=2 -Wundef -Wnull-dereference -Wdouble-promotion \
	-Wimplicit-fallthrough -Wlogical-op -Wduplicated-cond -Wduplicated-branches \
	-Wjump-misses-init -Wfloat-equal
# Where Python.h is: the interpreter knows PyInit__native by its name, keeps functions as void
# pointers, and takes constant strings without saying so.
MODULE_WARNINGS := -Wno-missing-prototypes -Wno-pedantic -Wno-write-strings
PYTHON_HEADERS = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')

native-check: setup
	@for source in $(filter %.c,$(NATIVE_SOURCES)); do \
		echo "gcc -fanalyzer $$source"; \
		gcc -std=gnu11 -O2 -D_GNU_SOURCE -DPy_LIMITED_API=0x030B0000 -isystem $(PYTHON_HEADERS) \
			$(NATIVE_WARNINGS) $$(! grep -q Python.h $$source || echo $(MODULE_WARNINGS)) \
			-fanalyzer -c -o /dev/null $$source; \
	done
	cppcheck --quiet --library=python --std=c11 --enable=warning,portability,performance --inline-suppr \
		--error-exitcode=1 gadgetip/pump/native

# Only here are cross compilers and emulators needed, which weigh more than all the rest.
.PHONY: wheels
wheels: PACKAGES += gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf \
	libc6-dev-armhf-cross qemu-user-static binutils
wheels: setup  ## A wheel for each processor into dist/: x86-64, aarch64, ARMv7, ARMv6
	@$(BIN)/python -m tests.native.wheels

# All system tests but these: systemd starts units without our environment, and without the
# sanitizer the module cannot be loaded there; the other two measure memory or speed, which are the
# sanitizer's then. Those of SECOND need its machine, as with `make system`.
SANITIZE_NOT := $(addprefix tests/system/test_,$(addsuffix .py,bench_command soak_supervised systemd))
SANITIZE_SYSTEM ?= $(filter-out $(SANITIZE_NOT),$(sort $(wildcard tests/system/test_*.py)))
SANITIZE_UNIT ?= tests/unit/pump tests/unit/attachment/test_relay_process.py
SANITIZE_LIMIT ?= 14400
SANITIZE = $(BIN)/python -m tests.native.sanitize $(1) --limit $(SANITIZE_LIMIT) --memory $(MEMORY) \
	--unit $(SANITIZE_UNIT) --system $(filter-out $(SECOND),$(SANITIZE_SYSTEM)) \
	--second $(filter $(SECOND),$(SANITIZE_SYSTEM)) --qemu $(AUDIO)
.PHONY: sanitize sanitize-threads
sanitize: setup kernel  ## The native pump's tests under AddressSanitizer and UBSan: not in CI
	@$(call SANITIZE,address)

sanitize-threads: setup kernel  ## The same under ThreadSanitizer: not in CI
	@$(call SANITIZE,thread)

# libFuzzer is clang's.
FUZZ_NATIVE_SECONDS ?= 300
.PHONY: fuzz-native
fuzz-native: PACKAGES += clang-14 libclang-rt-14-dev
fuzz-native: setup  ## libFuzzer on the native pump's parser and engine: not in CI
	@$(BIN)/python -m tests.native.fuzz --seconds $(FUZZ_NATIVE_SECONDS)
