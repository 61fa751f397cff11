"""The stub in user space, with a scripted device in libusb's place."""
