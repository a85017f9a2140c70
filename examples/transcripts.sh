#!/bin/sh
# Choose among the transcripts that a speech or character recognizer offers for each sentence.
#
# Usage: sh examples/transcripts.sh [TEXT [LISTS]]
# Without TEXT, Python's documentation is read. The model starts from english and learns the first
# four fifths of TEXT. Each line of LISTS is the right sentence and then the candidates, the
# recognizer's best first, with tabs between them. Without LISTS, words that sound alike are
# confused in sentences of the last fifth of TEXT. Right sentences that the model learns are left
# out. english has read 86 novels, which make too easy tests. MINUTES sets the time for training.
set -eu
export PYTHONUTF8=1 PYTHONSAFEPATH=  # Helpers use UTF-8, and import others of this folder.
here=$(dirname -- "$0")
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP TERM
trap 'echo "Interrupted. The script keeps nothing to resume." >&2; exit 130' INT
export CHARLSTM_CACHE="$work/cache"  # It has parts of the text, and is removed too.

# 1. Split the text, and make lists of 50 candidates.
if [ $# -lt 2 ]; then
    python3 "$here/sentences.py" "${1:-python-docs}" "$work/learn.txt" 300 > "$work/sentences"
    python3 "$here/transcripts.py" confuse "$work"
else
    python3 "$here/sentences.py" "$1" "$work/learn.txt"
    python3 "$here/transcripts.py" check "$work" "$2"
fi
cut -f 2- "$work/lists" > "$work/groups"

# 2. Fine-tune the English model, so that it knows the subject.
charlstm train "$work/learn.txt" --from english --minutes "${MINUTES:-2}" -o "$work/model" \
    --sample-every 0 > "$work/path"

# 3. Rank the candidates of each sentence by probability. The baseline takes the first one.
charlstm rank "$work/model" "$work/groups" --layout tabs --json -q > "$work/ranked"
python3 "$here/transcripts.py" report "$work"
