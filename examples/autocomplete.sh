#!/bin/sh
# Complete whole lines of a shell history, or of a list of queries.
#
# Usage: sh examples/autocomplete.sh [FILE]
# FILE has one command or query per line, the oldest first, such as ~/.bash_history or
# ~/.zsh_history. Without it, the script makes up a history. The model learns all lines but the
# last tenth (at most 500 lines). Of each of these a third is typed, and five lines are suggested.
# MINUTES sets the time for training.
set -eu
export PYTHONUTF8=1 PYTHONSAFEPATH=  # Helpers use UTF-8, and import others of this folder.
here=$(dirname -- "$0")
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP TERM
trap 'echo "Interrupted. The script keeps nothing to resume." >&2; exit 130' INT
export CHARLSTM_CACHE="$work/cache"  # It has parts of the text, and is removed too.

if [ $# -gt 0 ]; then
    python3 "$here/common.py" "$1" replace  # Shells may store bytes that are not UTF-8.
else
    python3 "$here/autocomplete.py" make
fi > "$work/given"
# Shells may note the time before or above each command.
sed -e 's/^: [0-9]*:[0-9]*;//' -e '/^#[0-9]*$/d' -e 's/[[:space:]]*$//' -e '/^$/d' \
    "$work/given" > "$work/history"

lines=$(wc -l < "$work/history")
[ "$lines" -ge 200 ] || { echo "$0: give a history of at least 200 lines." >&2; exit 1; }
new=$((lines / 10))
[ "$new" -le 500 ] || new=500
head -n $((lines - new)) "$work/history" > "$work/old"
[ "$(sort -u "$work/old" | wc -l)" -gt 1 ] || {
    echo "$0: all lines are the same. Give a history of different lines." >&2
    exit 1
}
tail -n "$new" "$work/history" > "$work/new"

charlstm train "$work/old" --lines --minutes "${MINUTES:-2}" --sample-every 0 \
    -o "$work/model" > "$work/path"

python3 "$here/autocomplete.py" type "$work/new" > "$work/typed"
charlstm generate "$work/model" --prompts "$work/typed" --beam 8 --count 5 --length 100 --json -q \
    > "$work/suggested"
python3 "$here/autocomplete.py" compare "$work/old" "$work/new" "$work/typed" "$work/suggested"
