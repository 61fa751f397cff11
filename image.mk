# The image of a board: built from Debian's packages, booted in emulation. docs/images.md says more.

BOARD ?= pi-zero-2w
IMAGES := build/image
IMAGE_PACKAGES := mmdebstrap qemu-user-static binfmt-support arch-test bmap-tools mtools squashfs-tools \
	dosfstools e2fsprogs zstd xz-utils kmod
SNAPSHOT ?=
FIRMWARE_DIR ?=
KERNEL_PACKAGE ?=
IMAGE_KEEP ?=
BUILDER := $(BIN)/python -m board.image

.PHONY: image
image: setup  ## The image of a board, in build/image (BOARD=pi-zero-2w, pi-zero-w, beaglebone-black)
	@$(MAKE) packages PACKAGES="$(IMAGE_PACKAGES)"
	@$(MAKE) deb DEB_ARCH=$$($(BUILDER) $(BOARD) --architecture)
	@$(BUILDER) $(BOARD) --target $(IMAGES) \
		--package $(DEB)/gadgetip_*_$$($(BUILDER) $(BOARD) --architecture).deb \
		$(if $(SNAPSHOT),--snapshot $(SNAPSHOT)) $(if $(FIRMWARE_DIR),--firmware $(FIRMWARE_DIR)) \
		$(if $(KERNEL_PACKAGE),--kernel $(KERNEL_PACKAGE)) $(if $(IMAGE_KEEP),--keep)
