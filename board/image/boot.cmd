# U-Boot's part of an update in place: which of the two slots boots. One script for all boards.
#
# What it decides is next_boot() in gadgetip/appliance/slots.py, which tells the meaning of the three
# variables; tests/image/test_boot_script.py holds the two against each other. The variables are kept
# in sectors 64 and 72 (hexadecimal 40 and 48) of the card, once each, as text in 512 (200) bytes.
#
# The BeagleBone's U-Boot has no `setexpr`, the BeagleBone's and the Pis' have neither `read` nor
# `write` of their own: hence counting by a loop, and the commands named after the kind of disk
# (`mmc read`, and `virtio read` in QEMU). Every number in a command is hexadecimal.
# devtype, devnum and distro_bootpart say where this script was found.

${devtype} dev ${devnum}

# Read the state: from the first copy that makes sense. less_a and less_b are the tries less one;
# they stay empty where the variable is not one digit, and 0 stays 0.
setenv sane
for copy in 40 48; do
	if test -z "${sane}"; then
		setenv BOOT_ORDER
		setenv BOOT_A_LEFT
		setenv BOOT_B_LEFT
		if ${devtype} read ${scriptaddr} ${copy} 1; then
			env import -t ${scriptaddr} 200 BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT
		fi
		setenv less_a
		setenv less_b
		setenv before 0
		for digit in 0 1 2 3 4 5 6 7 8 9; do
			if test "${BOOT_A_LEFT}" = "${digit}"; then setenv less_a ${before}; fi
			if test "${BOOT_B_LEFT}" = "${digit}"; then setenv less_b ${before}; fi
			setenv before ${digit}
		done
		if test -n "${less_a}" -a -n "${less_b}"; then
			if test "${BOOT_ORDER}" = "A B"; then setenv sane yes; fi
			if test "${BOOT_ORDER}" = "B A"; then setenv sane yes; fi
		fi
	fi
done
if test -z "${sane}"; then
	echo "gadgetip: the boot state makes no sense, starting with slot A"
	setenv BOOT_ORDER "A B"
	setenv BOOT_A_LEFT 3
	setenv BOOT_B_LEFT 0
	setenv less_a 2
	setenv less_b 0
fi

# Decide: the first slot in the order that has tries left, which has one less from now on. With none
# left anywhere both begin anew.
setenv first
for slot in ${BOOT_ORDER}; do
	if test -z "${first}"; then
		if test "${slot}" = "A" -a "${BOOT_A_LEFT}" != "0"; then
			setenv first A
			setenv BOOT_A_LEFT ${less_a}
		fi
		if test "${slot}" = "B" -a "${BOOT_B_LEFT}" != "0"; then
			setenv first B
			setenv BOOT_B_LEFT ${less_b}
		fi
	fi
done
if test -z "${first}"; then
	echo "gadgetip: no slot has a try left, beginning anew"
	if test "${BOOT_ORDER}" = "A B"; then
		setenv first A
		setenv BOOT_A_LEFT 2
		setenv BOOT_B_LEFT 3
	else
		setenv first B
		setenv BOOT_A_LEFT 3
		setenv BOOT_B_LEFT 2
	fi
fi
if test "${first}" = "A"; then setenv second B; else setenv second A; fi

# Save it before the slot has a chance to fail. A power cut between the two leaves one of them.
env export -t -s 200 ${scriptaddr} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT
for copy in 40 48; do
	if ${devtype} write ${scriptaddr} ${copy} 1; then true; else
		echo "gadgetip: cannot save the boot state"
	fi
done
echo "gadgetip: order ${BOOT_ORDER}, tries left: A ${BOOT_A_LEFT}, B ${BOOT_B_LEFT}"

# The disk's identifier is the first eight digits of a partition's: exported as text, of which no more
# than "disk=" and those (13 bytes, hexadecimal d) is read back.
part uuid ${devtype} ${devnum}:${distro_bootpart} disk
env export -t ${scriptaddr} disk
env import -t ${scriptaddr} d disk

# A person's own kernel arguments, a line `extra=...` in extra.txt beside this script.
setenv extra
if load ${devtype} ${devnum}:${distro_bootpart} ${scriptaddr} extra.txt; then
	env import -t -r ${scriptaddr} ${filesize} extra
fi

# The console, and where the initramfs goes: a Pi's U-Boot keeps it so near to the kernel that the
# kernel would lie over it.
setenv console ttyS0,115200n8
if test "${vendor}" = "raspberrypi"; then
	setenv console ttyS1,115200n8
	setenv ramdisk_addr_r 0x0a000000
fi
if test "${soc}" = "am33xx"; then setenv console ttyO0,115200n8; fi
if test "${devtype}" = "virtio"; then setenv console ttyAMA0; fi

# Boot it; and where it cannot be loaded or is no kernel, the other one at once.
for slot in ${first} ${second}; do
	if test "${slot}" = "A"; then setenv root ${devnum}:2; else setenv root ${devnum}:3; fi
	setenv bootargs "gadgetip.slot=${slot} gadgetip.disk=${disk} gadgetip.device=${devtype}${devnum} console=${console} oops=panic softlockup_panic=1 panic=10 quiet loglevel=4 ${extra}"
	echo "gadgetip: booting slot ${slot}: ${bootargs}"
	setenv tree ${fdt_addr}
	if test -z "${tree}"; then
		if load ${devtype} ${root} ${fdt_addr_r} /dtb/${fdtfile}; then setenv tree ${fdt_addr_r}; fi
	fi
	if test -n "${tree}"; then
		if load ${devtype} ${root} ${kernel_addr_r} /vmlinuz; then
			if load ${devtype} ${root} ${ramdisk_addr_r} /initrd.img; then
				if test "${cpu}" = "armv8"; then
					booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${tree}
				else
					bootz ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${tree}
				fi
			fi
		fi
	fi
	echo "gadgetip: slot ${slot} does not boot"
done

echo "gadgetip: neither slot boots, trying again in 10 seconds"
sleep 10
reset
