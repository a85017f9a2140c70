"""Training: from a text and options to a checkpoint.

    options          the options of a run, named as on the command line
    presets          sizes and defaults, as tables; the size for a text
    text_facts       the length of a text, and whether it is enough
    plan             decides what the user left open, from the size of the text
    evaluations      how often to evaluate, and on how much text
    memory           estimates how much memory a run needs
    request          what the user asked for: a run that is new, fine-tuned or resumed
    text_reading     the text that a request names, read as its model has read its own
    setup            a request to a run that is ready to start
    familiarity      how well a trained model predicts a text before it learns from it
    fine_tuning      what a run takes over from a trained model: weights, rate, what validated
    schedule         learning rate and dropout over a run
    optimizers       the optimizers of Keras, with fused updates
    step             the compiled training and validation step
    averaging        a moving average of the weights
    resume_tensors   the tensors that a run continues from
    budget           when to evaluate, save and stop
    penalty          the gradient of a penalty on activations
    divergence       rejects losses and weights that are not finite
    observer         the reports of a run, and requests to stop it
    trainer          the training loop
    run              carries out a run from beginning to end

Knows no command line and no terminal.
"""
