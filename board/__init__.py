"""What turns a board into an appliance: units, networks, the image builder."""
