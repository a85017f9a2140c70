"""The command line: one module for each command; each parses, calls the library and prints.

    app        the group of commands, error messages and exit statuses
    options    options that several commands share
    output     JSON and text on stdout, notes on stderr

Everything else in this folder is a command, or what one command prints.
"""
