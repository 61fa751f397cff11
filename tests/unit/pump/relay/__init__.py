"""The relay between a scripted device and a host that behaves as the kernel's driver does."""
