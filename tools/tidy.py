#!/usr/bin/env python3
"""House style as a test."""
