"""appliance: what `gadgetip board` does, and what an image does while it boots.

Nobody sits in front of a board. So what a person would type is decided from one file, a mistake in
that file is told in another one, and a lamp says the rest.
"""
