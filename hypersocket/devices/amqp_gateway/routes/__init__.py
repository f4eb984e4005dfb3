"""The routes of a gateway: a class for each kind, and what they share."""
