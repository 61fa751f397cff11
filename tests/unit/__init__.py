"""Tests that need no root, no kernel module and seconds."""
