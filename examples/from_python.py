"""Train a model from Python, then generate, score and plot with it.

    python examples/from_python.py [TEXT [MINUTES]]

TEXT is a file, a folder or the name of a corpus. Without it, the reference text that comes with
Python is read. The checkpoint is saved in checkpoints/from-python, and the plot next to it. The
plot needs matplotlib: pip install "charlstm[plot]".
"""

import sys
import warnings

import charlstm

OUTPUT = "checkpoints/from-python"


def main(text: str = "python-docs", minutes: str = "1") -> None:
    """Train on a text for some minutes, and show what the model can do."""
    model = charlstm.train(text, minutes=float(minutes), output=OUTPUT, overwrite=True)
    result = model.training
    print(f"Trained for {result.step:,} steps, until {result.stop_reason}.")
    print(f"Best: {result.best.valid_bits_per_character:.3f} bits per character.\n")

    print("Three samples:")
    for sample in model.generate("The ", count=3, length=100, seed=1):
        print(f"  {sample.prompt + sample.text!r}")

    print("\nThe most likely next words after 'The name of the':")
    for word in model.predict("The name of the", top=3, words_only=True):
        print(f"  {word.probability:.3f}  {word.text}")

    print("\nBits per character, the most expected text first:")
    for score in model.rank("The name of a module.", "Ths nmae fo a modlue."):
        print(f"  {score.bits_per_character:.2f}  {score.text}")

    picture = charlstm.plot(OUTPUT, f"{OUTPUT}.svg", overwrite=True)
    print(f"\nLoss over the steps: {picture}")


if __name__ == "__main__":
    warnings.simplefilter("ignore", charlstm.UnknownCharacterWarning)
    try:
        main(*sys.argv[1:])
    except (charlstm.CharlstmError, ValueError) as error:
        sys.exit(str(error))
