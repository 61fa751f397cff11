# The image of a board: built from Debian's packages, booted in emulation. docs/images.md says more.

BOARD ?= pi-zero-2w
IMAGES ?= build/image
IMAGE_CACHE ?=
IMAGE_PACKAGES := mmdebstrap qemu-user-static binfmt-support arch-test bmap-tools device-tree-compiler mtools squashfs-tools \
	dosfstools e2fsprogs zstd xz-utils kmod
SNAPSHOT ?=
MIRROR ?=
MIRROR_KEYRING ?=
FIRMWARE_DIR ?=
KERNEL_PACKAGE ?=
IMAGE_KEEP ?=
BUILDER := $(BIN)/python -m board.image

.PHONY: image image-twice test-boot-script
image: setup  ## The image of a board, in build/image (BOARD=pi-zero-2w, pi-zero-w, beaglebone-black)
	@architecture=$$($(BUILDER) $(BOARD) --architecture) && \
	$(MAKE) packages PACKAGES="$(IMAGE_PACKAGES)" && \
	$(MAKE) deb DEB_ARCH=$$architecture && \
	$(SUDO) env PYTHONDONTWRITEBYTECODE=1 HOME="$$HOME" XDG_CACHE_HOME="$${XDG_CACHE_HOME:-}" \
		$(BUILDER) $(BOARD) --target $(IMAGES) \
		--package $(DEB)/gadgetip_*_$$architecture.deb \
		--epoch $${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} \
		$(if $(SNAPSHOT),--snapshot $(SNAPSHOT)) $(if $(MIRROR),--mirror $(MIRROR)) \
		$(if $(MIRROR_KEYRING),--keyring $(MIRROR_KEYRING)) $(if $(FIRMWARE_DIR),--firmware $(FIRMWARE_DIR)) \
		$(if $(KERNEL_PACKAGE),--kernel $(KERNEL_PACKAGE)) $(if $(IMAGE_KEEP),--keep) \
		$(if $(IMAGE_CACHE),--cache $(IMAGE_CACHE))

# The second time nothing of the first is used: packages are downloaded and installed anew.
AGAIN := build/image-again
image-twice: image  ## The image twice, from nothing the second time, and whether the bytes are the same
	@$(SUDO) rm -rf $(AGAIN)
	@$(MAKE) image IMAGES=$(AGAIN) IMAGE_CACHE=$(AGAIN)/cache
	@diff $(IMAGES)/gadgetip-$(BOARD).packages $(AGAIN)/gadgetip-$(BOARD).packages || \
		{ echo "image: Debian's archive has changed in between: once more, please"; exit 1; }
	@sha256sum $(AGAIN)/gadgetip-$(BOARD).img.xz $(IMAGES)/gadgetip-$(BOARD).img.xz
	@cmp $(AGAIN)/gadgetip-$(BOARD).img.xz $(IMAGES)/gadgetip-$(BOARD).img.xz
	@cd $(AGAIN) && sha256sum --check gadgetip-$(BOARD).img.xz.sha256

# Every state of an update in U-Boot itself: some two hundred boots of a third of a second each.
BOOT_SCRIPT_PACKAGES := qemu-system-arm u-boot-tools dosfstools e2fsprogs mtools
test-boot-script: setup  ## The images' boot script in QEMU with Debian's U-Boot, 64 and 32 bits
	@$(MAKE) packages PACKAGES="$(BOOT_SCRIPT_PACKAGES)"
	$(BIN)/python -m pytest -p no:cacheprovider tests/image/test_boot_script.py

# The image itself, booted; each module of tests goes on with the card that the one before left. Twelve
# boots and more: an hour without KVM on two cores.
IMAGE_TEST_PACKAGES := qemu-system-arm openssh-client mtools dosfstools e2fsprogs squashfs-tools \
	squashfs-tools-ng xz-utils debian-archive-keyring device-tree-compiler
IMAGE_TESTS := own_boot_loader first_boot power_cut config_file update
SERVER_KERNEL := kernel
# No machine of QEMU's with the Zero W's processor has a network: one boot, of a board by itself.
ifeq ($(BOARD),pi-zero-w)
IMAGE_TESTS := own_processor
SERVER_KERNEL :=
endif
CUTS ?= 20
SEED ?=
.PHONY: test-image power-cuts
test-image: setup $(SERVER_KERNEL)  ## Boot the image of a board (BOARD=) in emulation, update it, cut its power
	@$(MAKE) packages PACKAGES="$(IMAGE_TEST_PACKAGES)"
	GADGETIP_BOARD=$(BOARD) $(BIN)/python -m pytest -p no:cacheprovider --durations=0 \
		--junitxml=build/test-image/$(BOARD)/report.xml \
		$(IMAGE_TESTS:%=tests/image/test_%.py)

power-cuts: setup kernel  ## Cut the power of an emulated board CUTS=20 times while it boots and runs
	@$(MAKE) packages PACKAGES="$(IMAGE_TEST_PACKAGES)"
	GADGETIP_BOARD=$(BOARD) $(BIN)/python -m tests.image.power_cuts --cuts $(CUTS) \
		$(if $(SEED),--seed $(SEED))
