"""Measures a model on a text.

    scoring             log-probabilities of texts and tokens
    text_metrics        loss, bits per character and perplexity of whole texts
    keystrokes          how many keystrokes predictions save
    memorization        how much of what the model writes occurs verbatim in a text
    dynamic             dynamic evaluation: the model learns from the text as it is scored
    dynamic_evaluator   the network that does

Only dynamic_evaluator loads TensorFlow. Knows nothing of how figures are printed.
"""
