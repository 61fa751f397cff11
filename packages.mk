# What distributions want: manual pages, completions, Debian packages. docs/packages.md says more.

MANUAL := build/man
COMPLETIONS := build/completions
DEB := build/deb
DEB_ARCH ?= $(shell dpkg --print-architecture)
DEB_BUILD := $(DEB)/$(DEB_ARCH)
DEB_TREE := $(DEB_BUILD)/gadgetip
DEB_PACKAGES := dpkg-dev debhelper dh-dkms dh-python lintian libaio1 libpython3-dev python3-pyudev
DEB_CROSS := $(filter-out $(shell dpkg --print-architecture),$(DEB_ARCH))
comma := ,

.PHONY: man completions deb test-packages

man: setup  ## The manual pages, made from the commands, in build/man
	@rm -rf $(MANUAL)
	@$(BIN)/python -m gadgetip.cli.manual $(MANUAL)
	@echo "$$(ls $(MANUAL) | wc -l) pages: man -l $(MANUAL)/gadgetip.1"

# Each shell looks for a name of its own.
completions: setup  ## Completions for bash, zsh and fish, in build/completions
	@rm -rf $(COMPLETIONS) && mkdir -p $(COMPLETIONS)
	@$(BIN)/gadgetip completion bash >$(COMPLETIONS)/gadgetip
	@$(BIN)/gadgetip completion zsh >$(COMPLETIONS)/_gadgetip
	@$(BIN)/gadgetip completion fish >$(COMPLETIONS)/gadgetip.fish
	@ls $(COMPLETIONS)

# For another architecture, the one header of Python's that differs comes out of that architecture's
# package, which is unpacked and not installed: apt is given a state of its own for it. A list that it
# cannot have matters only if the package is in it.
DEB_HEADERS := $(DEB)/headers/$(DEB_ARCH)
DEB_FOREIGN := -q -o APT::Architecture=$(DEB_ARCH) -o APT::Architectures=$(DEB_ARCH) \
	-o Dir::State=$(abspath $(DEB_HEADERS))/state \
	-o Dir::State::status=$(abspath $(DEB_HEADERS))/status -o Dir::Cache=$(abspath $(DEB_HEADERS))/cache \
	-o APT::Sandbox::User=root
DEB_COMPILER_arm64 := gcc-aarch64-linux-gnu libc6-dev-arm64-cross
DEB_COMPILER_armhf := gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
DEB_COMPILER_armel := gcc-arm-linux-gnueabi libc6-dev-armel-cross
DEB_LIBPYTHON := libpython3.11-dev

$(DEB_HEADERS)/stamp:
	@mkdir -p $(DEB_HEADERS)/state/lists/partial $(DEB_HEADERS)/cache/archives/partial
	@cd $(DEB_HEADERS) && touch status && { apt-get $(DEB_FOREIGN) update || true; } && \
		apt-get $(DEB_FOREIGN) download $(DEB_LIBPYTHON) && dpkg-deb -x $(DEB_LIBPYTHON)_*.deb .
	@touch $@

# In a copy of what git knows, so that nothing of a checkout gets into a package; each architecture in
# a place of its own, so that the packages of others stay. The maintainer's address is a placeholder,
# which lintian would call an error. Packages for other machines have the same files but for the
# module, and are not looked at again.
deb: $(if $(DEB_ARCH),,$(error DEB_ARCH is empty)) setup $(if $(DEB_CROSS),$(DEB_HEADERS)/stamp)  ## Debian packages, in build/deb (DEB_ARCH=arm64, armhf, armel: cross)
	@$(MAKE) packages PACKAGES="$(DEB_PACKAGES) $(if $(DEB_CROSS),$(DEB_COMPILER_$(DEB_ARCH)))"
	@rm -rf $(DEB_BUILD) $(DEB)/gadgetip*_$(DEB_ARCH).deb && mkdir -p $(DEB_TREE)
	@git ls-files -z | tar --null --files-from=- --create --file=- | tar -x -C $(DEB_TREE)
	@$(BIN)/python debian/vendor $(DEB_TREE)/vendor
	@cd $(DEB_TREE) && PYTHON_HEADERS=$(if $(DEB_CROSS),$(abspath $(DEB_HEADERS))/usr/include) \
		dpkg-buildpackage --build=$(if $(DEB_CROSS),any,binary) \
		--no-sign $(if $(DEB_CROSS),--host-arch=$(DEB_ARCH) -d -Pcross$(comma)nocheck)
	@[ -n "$(DEB_CROSS)" ] || lintian --fail-on error --suppress-tags bogus-mail-host \
		$(DEB_BUILD)/*.changes
	@cp -p $(DEB_BUILD)/*.deb $(DEB)/
	@ls -s --block-size=KiB $(DEB)/*.deb

# ARCHES: whose packages; TARGETS: which systems, as SUITE, ARCH or SUITE-ARCH; both are all that
# there are, if left out. The emulators and mmdebstrap are needed only here, and root.
ARCHES ?= $(shell dpkg --print-architecture) arm64 armel armhf
TARGETS ?= $(ARCHES)
test-packages: PACKAGES += mmdebstrap qemu-user-static binfmt-support arch-test \
	gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
test-packages: setup kernel  ## Install, run, upgrade, purge the packages on Debian 12 and 13: not in CI
	@for arch in $(ARCHES); do $(MAKE) deb DEB_ARCH=$$arch || exit; done
	@$(SUDO) env HOME="$$HOME" $(BIN)/python -m tests.packages $(TARGETS)
