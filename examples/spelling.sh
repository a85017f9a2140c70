#!/bin/sh
# Correct typing errors and confused words (their, there) in the sentences of a text.
#
# Usage: sh examples/spelling.sh [TEXT [MORE_TEXTS...]]
# Without TEXT, Python's documentation is read. Up to SENTENCES (600) of the last fifth of TEXT get
# one error each, or none. The words that may be meant are those of its first four fifths and of
# MORE_TEXTS. Nothing is trained: the model is english, or MODEL, not trained on TEXT.
set -eu
text=${1:-python-docs}
[ $# -eq 0 ] || shift
export PYTHONUTF8=1 PYTHONSAFEPATH=  # Helpers use UTF-8, and import others of this folder.
here=$(dirname -- "$0")
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP TERM
trap 'echo "Interrupted. The script keeps nothing to resume." >&2; exit 130' INT
export CHARLSTM_CACHE="$work/cache"  # It has parts of the text, and is removed too.

# 1. Misspell sentences of the end of the text, and list the possible corrections of each: one line
#    per sentence, with tabs between the alternatives.
python3 "$here/sentences.py" "$text" "$work/learn.txt" "${SENTENCES:-600}" > "$work/sentences"
python3 "$here/spelling.py" misspell "$work" "$work/learn.txt" "$@"

# 2. Rank the alternatives. A correction is accepted if it is 400 times more probable than the
#    sentence as typed. The baseline (Norvig's method) replaces each unknown word by the most
#    frequent known word that is one typing error away.
charlstm rank "${MODEL:-english}" "$work/groups" --layout tabs --json -q > "$work/ranked"
python3 "$here/spelling.py" report "$work"
