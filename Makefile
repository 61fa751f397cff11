# Everything a developer runs. `make` alone lists it.
#
# `make test` and `make demo` start from nothing: they install the Debian packages and the Python
# environment they need, say so, and cache what they download. The second time they only look.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/gadgetip.stamp
MACHINE := $(BIN)/python -m tests.machine

# What the machine of the bench is made of, what builds a module for its kernel, and what the tests
# use inside it.
PACKAGES := \
	python3 python3-venv ca-certificates \
	qemu-system-x86 busybox-static file kmod udev util-linux xz-utils \
	gcc libc6-dev python3-dev cppcheck make systemd \
	usbip usbutils fio strace alsa-utils dosfstools e2fsprogs fdisk iproute2 procps libaio1 libusb-1.0-0

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
APT := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
	-o Acquire::Retries=3 -o Dpkg::Use-Pty=0

# A hung machine says where, and ends, after so many seconds.
SYSTEM_LIMIT ?= 3600
DEMO_LIMIT ?= 600
PERFORMANCE_LIMIT ?= 5400
ROUNDS ?=
ROUND_TRIPS ?=
WORKS ?=
PATHS ?=
WORK_SECONDS ?=
PUBLISH ?=
ENDURANCE_LIMIT ?= 5400
USBTEST_LIMIT ?= 10800
USBTEST_ITERATIONS ?= 1000
MEMORY ?= 3G

# KERNEL=6.1 boots Debian's newest of that series, where apt knows one, instead of the bench's own.
KERNEL ?=
ifneq ($(KERNEL),)
export GADGETIP_KERNEL := $(KERNEL)
endif
FUZZ_SECONDS ?= 3600
FUZZ_QUICK_SECONDS ?= 60
FUZZ_JOBS ?= 1
SOAK ?= 500
SOAK_SECONDS ?= 1800
SOAK_SEED ?=

AUDIO := "-audiodev none,id=silence -device usb-audio,bus=benchusb.0,audiodev=silence"

.PHONY: help setup packages kernel schemas dkms check format unit soak-quick system test demo bench \
	endurance captures \
	bench-up bench-exec bench-shell bench-log bench-down clean

help:  ## List what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

include native.mk
include packages.mk
include image.mk

setup: packages $(STAMP) $(NATIVE)  ## Install what is missing, and build the native pump

packages:
	@missing=(); \
	for package in $(PACKAGES); do \
		state=$$(dpkg-query -W -f='$${db:Status-Status}' $$package 2>/dev/null || true); \
		[ "$$state" = installed ] || missing+=($$package); \
	done; \
	if [ $${#missing[@]} -gt 0 ]; then \
		echo "setup: installing $${missing[*]}"; \
		$(APT) update; \
		$(APT) install --no-install-recommends "$${missing[@]}"; \
	fi

# The native pump has a rule of its own, so that it is built again when its sources change.
$(STAMP): pyproject.toml constraints.txt | packages
	@echo "setup: the Python environment in $(VENV)"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip
	@GADGETIP_NATIVE=skip $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt --build-constraint constraints.txt --editable . --group dev
	@touch $@

kernel: setup  ## Have Debian's kernel for the bench in the cache, and GadgetFS rebuilt for it
	@$(MACHINE) kernel

schemas: setup  ## Write the JSON Schemas of docs/schema
	@$(BIN)/python -m tests.schemas

dkms: setup  ## Build board/dkms for the bench's kernel
	@$(MACHINE) gadgetfs

check: setup  ## Style, types and dependencies
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/deptry .
	@$(MAKE) native-check

format: setup  ## Put the sources into the form that `check` wants
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

unit: setup  ## Tests that need no root, no kernel module, and seconds
	$(BIN)/python -m pytest tests/unit

# GADGETIP_PUMP=python runs them on that pump; without it replicas have the native one.
# Two machines at a time, each with one processor: on two cores, and without KVM, QEMU's two threads
# wait for each other, and two machines with two processors each take nearly twice as long.
SYSTEM_CPUS ?= 1
SECOND := $(addprefix tests/system/test_,$(addsuffix .py, \
	bench_command bind doctor endings hostile_clients interop inventory serve sessions systemd \
	userspace_stub vhci vhci_relay))
SYSTEM_RUN = $(MACHINE) run --limit $(SYSTEM_LIMIT) --memory $(MEMORY) --cpus $(SYSTEM_CPUS) $(2) -- \
	sh -c 'exec python -m pytest $(1) -p no:cacheprovider --durations=25 \
		--junitxml="$$GADGETIP_RESULTS/system.xml"'

# The soak needs five minutes and one core: `make test` runs it while the checks use the other.
SOAK_TEST := tests/system/test_soak_supervised.py

system: setup kernel  ## Tests in virtual machines with a real kernel, two boots side by side
	@mkdir -p build
	@$(call SYSTEM_RUN,$(SECOND),--qemu $(AUDIO)) >build/system-second.log 2>&1 </dev/null & second=$$!; \
	trap 'kill $$second' INT TERM; \
	status=0; \
	$(call SYSTEM_RUN,tests/system $(addprefix --ignore=,$(SECOND) $(SOAK_TEST))) || status=$$?; \
	wait $$second || status=$$?; \
	cat build/system-second.log; \
	exit $$status

soak-quick: setup kernel  ## Five minutes of `make soak`
	@$(call SYSTEM_RUN,$(SOAK_TEST))

test: setup kernel  ## check, unit, fuzz-quick, soak-quick, system: what has to pass
	@mkdir -p build
	@$(MAKE) soak-quick >build/system-soak.log 2>&1 </dev/null & soak=$$!; \
	trap 'kill $$soak' INT TERM; \
	status=0; \
	$(MAKE) check unit fuzz-quick || status=$$?; \
	wait $$soak || status=$$?; \
	cat build/system-soak.log; \
	[ $$status = 0 ]
	@$(MAKE) system

demo: setup kernel  ## See a device reborn, in a virtual machine
	@$(MACHINE) run --limit $(DEMO_LIMIT) --memory $(MEMORY) -- python -m tests.demo

# ROUNDS=1 ROUND_TRIPS="0 10" WORKS="seqread rand4k" PATHS="direct vhci gadget-native" WORK_SECONDS=1
# measure a part, which is published only with PUBLISH=yes.
CHOSEN := $(strip $(ROUNDS)$(ROUND_TRIPS)$(WORKS)$(PATHS)$(WORK_SECONDS))
bench: setup kernel  ## Measure, in a virtual machine; a whole run is written to docs/performance
	rm -rf build/performance
	$(MACHINE) run --limit $(PERFORMANCE_LIMIT) --memory $(MEMORY) --results build/performance -- \
		python -m tests.performance $(if $(CHOSEN),,--count) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(ROUND_TRIPS),--round-trips "$(ROUND_TRIPS)") $(if $(WORKS),--works "$(WORKS)") \
		$(if $(PATHS),--paths "$(PATHS)") $(if $(WORK_SECONDS),--seconds $(WORK_SECONDS))
	$(if $(CHOSEN),$(if $(PUBLISH),,@: ))$(BIN)/python -m tests.performance.publish build/performance

endurance: setup kernel  ## 256 MiB three times, a minute of fio, 20 kills: not in CI
	$(MACHINE) run --limit $(ENDURANCE_LIMIT) --memory $(MEMORY) -- env GADGETIP_KILLS=20 \
		python -m pytest -p no:cacheprovider tests/system/endurance.py tests/system/test_endings.py

# Stock vhci hangs for good on case 12, so that one has a machine of its own, which is lost with it.
.PHONY: usbtest
usbtest: setup kernel  ## Linux's own USB tests: device, replica and stock vhci side by side; an hour
	rm -rf build/usbtest
	$(MACHINE) run --limit $(USBTEST_LIMIT) --memory $(MEMORY) --results build/usbtest -- \
		python -m tests.system.usbtest --iterations $(USBTEST_ITERATIONS)
	-$(MACHINE) run --limit $(DEMO_LIMIT) --memory $(MEMORY) --results build/usbtest -- \
		python -m tests.system.usbtest --columns vhci --cases 12 --vhci-12 --limit 120
	@cat build/usbtest/usbtest-table.md

cycles: setup kernel  ## 200 attachments, 100 resets, 10,000 reports: not in CI
	$(MACHINE) run --limit $(ENDURANCE_LIMIT) --memory $(MEMORY) -- \
		python -m pytest -s -p no:cacheprovider tests/system/endurance_replicas.py

hostile: setup kernel  ## Every device and server that means harm, not the CI's choice
	$(MACHINE) run --limit $(ENDURANCE_LIMIT) --memory $(MEMORY) -- env GADGETIP_HOSTILE=all \
		python -m pytest -p no:cacheprovider tests/system/test_hostile.py

.PHONY: fuzz fuzz-quick million soak soak-sessions bench-stubs bench-supervisor bench-lasting bench-audio cycles hostile
fuzz-quick: setup  ## A minute of fuzzing, as a part of `make test`
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_QUICK_SECONDS)

fuzz: setup  ## An hour of fuzzing (FUZZ_SECONDS): parsers, user-space stub, files
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) --jobs $(FUZZ_JOBS)

million: setup  ## 1,000,000 fuzzed messages of each side: no crash, no hang, flat memory
	$(BIN)/python -m tests.fuzz client server session --engine random --messages 1000000 --table

soak: setup kernel  ## Supervised attachments under load while things go wrong, half an hour: not in CI
	rm -rf build/soak
	$(MACHINE) run --limit $(ENDURANCE_LIMIT) --memory $(MEMORY) --results build/soak -- \
		python -m tests.soak --seconds $(SOAK_SECONDS) $(if $(SOAK_SEED),--seed $(SOAK_SEED))

soak-sessions: setup kernel  ## 500 sessions (SOAK) of each stub leave nothing: not in CI
	$(MACHINE) run --limit $(ENDURANCE_LIMIT) --memory $(MEMORY) -- env GADGETIP_SOAK=$(SOAK) \
		python -m pytest -s -p no:cacheprovider tests/system/endurance_server.py

bench-stubs: setup kernel  ## Measure the user-space stub against the kernel's
	$(MACHINE) run --limit $(PERFORMANCE_LIMIT) --memory $(MEMORY) -- \
		python -m tests.performance.stubs

bench-supervisor: setup kernel  ## Measure from `gadgetip run` to enumerated, from link back to running
	$(MACHINE) run --limit $(PERFORMANCE_LIMIT) --memory $(MEMORY) -- \
		python -m tests.performance.supervised

LASTING_SECONDS ?= 3600

bench-lasting: setup kernel  ## An hour through one attachment: is memory flat, does speed drift
	$(MACHINE) run --limit $(ENDURANCE_LIMIT) --memory $(MEMORY) -- \
		python -m tests.performance.lasting --seconds $(LASTING_SECONDS)

bench-audio: setup kernel  ## Play sound through each stub and count underruns
	$(MACHINE) run --limit $(PERFORMANCE_LIMIT) --memory $(MEMORY) --qemu $(AUDIO) -- \
		python -m tests.performance.stubs --audio --rounds 2

captures: setup kernel  ## Record the kernel's own conversations anew, as test vectors
	$(MACHINE) run --limit $(DEMO_LIMIT) --results tests/captures \
		--qemu $(AUDIO) -- \
		python -m tests.system.recording

bench-up: setup  ## Keep a machine up, for single tests
	@$(MACHINE) up --memory $(MEMORY)

bench-exec:  ## Run CMD='...' in the machine that is kept up
	@$(MACHINE) exec -- sh -c '$(subst ','\'',$(CMD))'

bench-shell: bench-up  ## A shell in the machine that is kept up
	@$(MACHINE) shell

bench-log:  ## Its kernel log
	@$(MACHINE) log

bench-down:  ## End it
	@$(MACHINE) down

clean:  ## Remove what was built; the downloads in ~/.cache/gadgetip stay
	@[ ! -x $(BIN)/python ] || $(MACHINE) down
	rm -rf build $(VENV) $(NATIVE) *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
