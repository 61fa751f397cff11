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
MODULE_WARNINGS := -Wno-missing-prototypes # PyInit__native: the interpreter knows its name
PYTHON_HEADERS = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')

native-check: setup
	@for source in $(filter %.c,$(NATIVE_SOURCES)); do \
		echo "gcc -fanalyzer $$source"; \
		gcc -std=gnu11 -O2 -D_GNU_SOURCE -DPy_LIMITED_API=0x030B0000 -isystem $(PYTHON_HEADERS) \
			$(NATIVE_WARNINGS) $$(case $$source in *module.c) echo $(MODULE_WARNINGS);; esac) \
			-fanalyzer -c -o /dev/null $$source; \
	done
	cppcheck --quiet --std=c11 --enable=warning,portability,performance --inline-suppr \
		--error-exitcode=1 gadgetip/pump/native
