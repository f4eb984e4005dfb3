"""Benchmarks: ours beside every peer that is installed, the same work for each, in one run.

``python -m bench compare`` measures and writes tables and plots. The names of the roles are the
family's (``local_lat``, ``remote_lat``, ``local_thr``, ``remote_thr``), so that numbers compare.
"""
