"""Tests inside the bench: real kernels, no mocks of them."""
