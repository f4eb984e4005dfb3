"""Clients of brokers, one for each protocol; each needs an extra, so none is imported here."""
