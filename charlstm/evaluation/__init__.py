"""Evaluation of a model on texts.

    scoring             log-probabilities of texts and tokens
    ranking             the order of scored texts
    text_metrics        loss, bits per character and perplexities of whole texts
    keystrokes          next-word accuracy and keystrokes saved, for given words
    word_metrics        the same for a random sample of the words of a text
    gap_metrics         how often hidden words are found from both sides
    memorization        how much generated text occurs verbatim in another text
    dynamic             dynamic evaluation: the model learns from the text while it is scored
    dynamic_evaluator   the network that learns

Only dynamic_evaluator imports TensorFlow.
"""
