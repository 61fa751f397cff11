"""Tests of the USB/IP protocol; one module for each of `gadgetip/wire/`, and three that cross."""
