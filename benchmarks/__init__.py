"""Measurements of charlstm on this machine; ``make bench`` runs them all.

Machines differ and are noisy: what is compared is measured in one run, interleaved, and given as
medians and ratios.
"""
