"""Notices and brokers' messages that arrive by themselves, in folders or by Kafka, and what becomes of them."""

from __future__ import annotations
