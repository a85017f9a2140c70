"""Tests of ``charlstm.look``: the page, and the page in a real browser."""
