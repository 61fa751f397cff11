"""Tests of gadgetip: `unit` anywhere, `system` inside the bench that `machine` boots."""
