"""Measurements of charlstm on this machine; ``make bench`` runs them all.

Machines differ and are noisy. Comparisons are therefore made in one run, interleaved, and reported
as medians and ratios.
"""
