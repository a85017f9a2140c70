#!/bin/sh
# Suggest the next word, as the keyboard of a phone does, and measure the keystrokes saved.
#
# Usage: sh examples/keyboard.sh [FILE [CHECKPOINT]]
# FILE is a text of your own, such as your sent mail, of at least 200 lines. Without it, the text
# is Python's documentation. With CHECKPOINT, such as english, training starts from that model.
# english has read 86 novels, which make too easy tests. MINUTES sets the time for training.
set -eu
export PYTHONUTF8=1 PYTHONSAFEPATH=  # Helpers use UTF-8, and import others of this folder.
here=$(dirname -- "$0")
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP TERM
trap 'echo "Interrupted. The script keeps nothing to resume." >&2; exit 130' INT
export CHARLSTM_CACHE="$work/cache"  # It has parts of the text, and is removed too.

if [ $# -gt 0 ]; then
    python3 "$here/common.py" "$1"
else
    python3 -c '
import pydoc_data.topics
print(*pydoc_data.topics.topics.values(), sep="\n")'
fi > "$work/text"

# The last tenth is held out. Of this, about 10,000 characters are typed.
lines=$(wc -l < "$work/text")
[ "$lines" -ge 200 ] || { echo "$0: give a text of at least 200 lines." >&2; exit 1; }
head -n $((lines - lines / 10)) "$work/text" > "$work/old"
tail -n $((lines / 10)) "$work/text" | awk '{ print; n += length } n > 10000 { exit }' > "$work/new"

charlstm train "$work/old" ${2:+--from "$2"} --minutes "${MINUTES:-2}" --sample-every 0 \
    -o "$work/model" > "$work/path"

typed=$(awk 'NF > 5 { print $1, $2; exit }' "$work/new")
if [ -n "$typed" ]; then
    echo "Suggestions after \"$typed\" (probability, word):"
    charlstm predict "$work/model" --top 3 --words-only -q -- "$typed "
fi

# All words are typed, because the sample is larger than the text.
charlstm evaluate "$work/model" "$work/new" --sample 1000000 --json -q > "$work/figures"
python3 "$here/keyboard.py" "$work/old" "$work/new" "$work/figures"
