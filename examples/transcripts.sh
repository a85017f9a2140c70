#!/bin/sh
# Choose among the transcripts that a speech or character recognizer offers for each sentence.
#
# Usage: sh examples/transcripts.sh [TEXT [LISTS]]
# Without TEXT, Python's documentation is read. The model starts from english and learns the first
# four fifths of TEXT. Each line of LISTS is the right sentence and then the candidates, the
# recognizer's best first, with tabs between them. Without LISTS, words that sound alike are
# confused in sentences of the last fifth of TEXT. MINUTES sets the time for training.
set -eu
here=$(dirname -- "$0")
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM

# 1. Split the text, and make lists of 50 candidates.
python3 "$here/sentences.py" "${1:-python-docs}" "$work/learn.txt" 300 > "$work/sentences"
lists=${2:-}
if [ -z "$lists" ]; then
    python3 "$here/transcripts.py" confuse "$work"
    lists=$work/lists
fi

# 2. Fine-tune the English model, so that it knows the subject.
charlstm train "$work/learn.txt" --from english --minutes "${MINUTES:-2}" -o "$work/model" \
    --sample-every 0 > "$work/path"

# 3. Rank the candidates of each sentence by probability. The baseline takes the first one.
cut -f 2- "$lists" | charlstm rank "$work/model" --layout tabs --json -q > "$work/ranked"
python3 "$here/transcripts.py" report "$work" "$lists"
