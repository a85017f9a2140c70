"""The command line: one module for each command; each parses, calls the library and prints.

    app            the group of commands, errors and what status they exit with
    argument_names  arguments of the library as options
    options        groups and kinds of options, help pages, completion
    fetching       fetches texts of the catalog
    corpus_options how a text is read, for several commands
    sampling       the options of sampling
    texts          the texts that commands read
    prompts        the prompts that commands read
    generate_notes  what ``generate`` notes and warns of
    escapes        escapes in arguments that a shell has passed on
    unicode_form   the note on a text in another Unicode form
    line_ends      where a line of text ends
    output         JSON and text on stdout, notes on stderr
    progress_bar   a progress bar on stderr
    samples        how samples are printed
    line_scores    scores lines as they arrive
    scores         how scores are printed
    descriptions   plan, hardware and figures of a run in words
    suggestions    what a run could do better, told before it begins
    model_card     a checkpoint as a model card in Markdown
    train_report   what a training run prints
    train_notes    what ``train`` notes and warns of
    signals        Ctrl-C, SIGTERM and SIGHUP during training
    exit_status    exit statuses after signals

Everything else in this folder is a command of that name. Knows nothing of how anything is computed.
"""
