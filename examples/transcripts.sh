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
lists=${2:-$work/lists}
python3 "$here/sentences.py" "${1:-python-docs}" "$work/learn.txt" $(($# < 2 ? 300 : 0)) \
    > "$work/sentences"
[ $# -eq 2 ] || python3 "$here/transcripts.py" confuse "$work"
cut -f 2- "$lists" > "$work/groups"

# 2. Fine-tune the English model, so that it knows the subject.
charlstm train "$work/learn.txt" --from english --minutes "${MINUTES:-2}" -o "$work/model" \
    --sample-every 0 > "$work/path"

# 3. Rank the candidates of each sentence by probability. The baseline takes the first one.
charlstm rank "$work/model" "$work/groups" --layout tabs --json -q > "$work/ranked"
python3 "$here/transcripts.py" report "$work" "$lists"
