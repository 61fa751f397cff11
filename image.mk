# The image of a board: built from Debian's packages, booted in emulation. docs/images.md says more.

BOARD ?= pi-zero-2w
IMAGES ?= build/image
IMAGE_CACHE ?=
IMAGE_PACKAGES := mmdebstrap qemu-user-static binfmt-support arch-test bmap-tools mtools squashfs-tools \
	dosfstools e2fsprogs zstd xz-utils kmod
SNAPSHOT ?=
FIRMWARE_DIR ?=
KERNEL_PACKAGE ?=
IMAGE_KEEP ?=
BUILDER := $(BIN)/python -m board.image

.PHONY: image image-twice test-boot-script
image: setup  ## The image of a board, in build/image (BOARD=pi-zero-2w, pi-zero-w, beaglebone-black)
	@$(MAKE) packages PACKAGES="$(IMAGE_PACKAGES)"
	@$(MAKE) deb DEB_ARCH=$$($(BUILDER) $(BOARD) --architecture)
	@$(BUILDER) $(BOARD) --target $(IMAGES) \
		--package $(DEB)/gadgetip_*_$$($(BUILDER) $(BOARD) --architecture).deb \
		$(if $(SNAPSHOT),--snapshot $(SNAPSHOT)) $(if $(FIRMWARE_DIR),--firmware $(FIRMWARE_DIR)) \
		$(if $(KERNEL_PACKAGE),--kernel $(KERNEL_PACKAGE)) $(if $(IMAGE_KEEP),--keep) \
		$(if $(IMAGE_CACHE),--cache $(IMAGE_CACHE))

# The second time nothing of the first is used: packages are downloaded and installed anew.
AGAIN := build/image-again
image-twice: image  ## The image twice, from nothing the second time, and whether the bytes are the same
	@rm -rf $(AGAIN)
	@$(MAKE) image IMAGES=$(AGAIN) IMAGE_CACHE=$(AGAIN)/cache
	@diff $(IMAGES)/gadgetip-$(BOARD).packages $(AGAIN)/gadgetip-$(BOARD).packages || \
		{ echo "image: Debian's archive has changed in between: once more, please"; exit 1; }
	@cd $(AGAIN) && sha256sum gadgetip-$(BOARD).img.xz && cmp gadgetip-$(BOARD).img.xz ../image/gadgetip-$(BOARD).img.xz
	@cd $(AGAIN) && sha256sum --check gadgetip-$(BOARD).img.xz.sha256

# Every state of an update in U-Boot itself: some two hundred boots of a third of a second each.
BOOT_SCRIPT_PACKAGES := qemu-system-arm u-boot-tools dosfstools e2fsprogs mtools
test-boot-script: setup  ## The images' boot script in QEMU with Debian's U-Boot, 64 and 32 bits
	@$(MAKE) packages PACKAGES="$(BOOT_SCRIPT_PACKAGES)"
	$(BIN)/python -m pytest -p no:cacheprovider tests/image/test_boot_script.py
