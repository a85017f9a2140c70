"""Finds the weights: from a corpus and options to a checkpoint.

    presets      sizes, budgets and defaults, as tables
    plan         decides a run from the size of the text, before TensorFlow is loaded
    schedule     learning rate and dropout over time
    optimizers   the optimizers
    step         the compiled training and evaluation step
    budget       when to evaluate, save and stop
    observer     what a run reports, and to whom
    trainer      the training loop
    run          new, fine-tuned and resumed runs from beginning to end

Knows no options and no terminal.
"""
