"""Gateway files: what stands in one, checked, as a specification; reading needs ``topology``."""
