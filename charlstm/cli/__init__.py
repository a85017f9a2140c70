r"""The command line: one module per command. Each parses options, calls the library and prints.

    app             the group of commands, error output, exit statuses
    options         option groups, recurring options, help pages, completion
    kinds           kinds of values: numbers, texts, choices, paths
    locales         arguments misread because the locale's encoding is not UTF-8
    misuse          errors in a command line, as sentences
    near_misses     suggestions for commands and options that don't exist
    argument_names  replaces arguments of the library by options in messages
    fetching        downloads texts of the catalog
    corpus_options  options for how a text is read, shared by several commands
    sampling        options of sampling
    texts           texts that commands read
    prompts         prompts that commands read
    generate_notes  notes and warnings of ``generate``
    escapes         escapes in arguments, such as ``'\n'``
    unicode_form    the note on a text in another Unicode form
    line_ends       where a line of text ends
    model_list      the list of checkpoints of ``--models``
    output          JSON and text to stdout, notes to stderr
    tables          tables of aligned columns
    progress_bar    progress bars and a clock on stderr
    shares          formats probabilities
    samples         prints samples
    line_scores     scores lines as they arrive
    scores          prints scores
    descriptions    the plan, hardware and figures of a run, in words
    outcomes        how a run ended, in words
    comparison      checkpoints side by side
    measuring       measures a model on a text
    evaluate_models several models on one text, in one table
    suggestions     suggests how a run would learn more, before training
    model_card      a checkpoint as a model card in Markdown
    train_report    what a training run prints
    train_notes     notes and warnings of ``train``
    signals         Ctrl-C, SIGTERM and SIGHUP during training
    exit_status     exit statuses after signals

Everything else is the command of its name. Nothing here computes results.
"""
