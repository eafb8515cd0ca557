"""Conformance to the specifications: which tests are evidence for which clause."""
