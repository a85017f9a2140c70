"""Finds the weights: from a corpus and options to a checkpoint.

    options       what can be asked of a run, named as on the command line
    presets       sizes, budgets and defaults, as tables
    plan          decides a run from the size of the text
    memory        estimates how much memory a run needs
    request       a run that is asked for: new, fine-tuned or resumed
    setup         a request to a run that is ready to start
    fine_tuning   the weights of a parent, with room for new tokens
    schedule      learning rate and dropout over time
    optimizers    the optimizers
    step          the compiled training and evaluation step
    state         the tensors that a run continues from
    budget        when to evaluate, save and stop
    divergence    losses and weights that are not finite
    observer      what a run reports, and to whom
    trainer       the training loop
    run           carries out a run from beginning to end

Knows no command line and no terminal.
"""
