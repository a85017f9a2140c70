"""Training: from a text and options to a checkpoint.

    options          the options of a run, named as on the command line
    presets          sizes and defaults, as tables; the size for a text
    text_facts       the length of a text, and whether it is long enough
    plan             chooses every setting that the user left open, from the size of the text
    evaluations      how often to evaluate, and on how much text
    memory           estimates how much memory a run needs
    request          what the user asked for: a new, fine-tuned or resumed run
    text_reading     reads the text of a request, the way its parent model was trained
    setup            turns a request into a run that is ready to start
    familiarity      how well a trained model predicts a text before it is trained on it
    fine_tuning      what a run takes from its parent: weights, learning rate, validation split
    schedule         learning rate and dropout over a run
    optimizers       the Keras optimizers, with fused updates
    step             the compiled training and validation step
    averaging        a moving average of the weights
    resume_tensors   the tensors that a resumed run restores
    budget           when to evaluate, save and stop
    penalty          the gradient of a penalty on activations
    divergence       rejects losses and weights that are not finite
    observer         how a run reports its progress and is asked to stop
    outcome          how a run ended: its steps, its time, whether it overfits
    advice           what to try after a run
    learner          one network in training: its batches, steps and state
    trainer          the training loop
    run              carries out a run from start to finish

This package prints nothing and does not depend on the command line.
"""
