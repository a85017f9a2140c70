#!/bin/sh
# Find odd lines in a log.
#
# Usage: sh examples/oddlines.sh [LOGFILE]
# The model learns the first half of a log of at least 1,000 lines. A tenth of the second half is
# corrupted, and the script measures whether corrupted lines have higher scores than usual ones.
# Without LOGFILE, it makes up a log. MINUTES sets the time for training.
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
    python3 "$here/oddlines.py" make
fi > "$work/given"
sed '/^$/d' "$work/given" > "$work/log"
lines=$(wc -l < "$work/log")
[ "$lines" -ge 1000 ] || { echo "$0: give a log of at least 1,000 lines." >&2; exit 1; }

# Validating on the newest lines stops the training before it knows the old lines by heart.
half=$((lines / 2))
newest=$((half * 15 / 100))
head -n $((half - newest)) "$work/log" > "$work/old"
head -n "$half" "$work/log" | tail -n "$newest" > "$work/newer"
tail -n $((lines - half)) "$work/log" > "$work/today"

charlstm train "$work/old" --valid "$work/newer" --lines --minutes "${MINUTES:-2}" \
    --sample-every 0 -o "$work/model" > "$work/path"

echo "The oddest lines of the second half, before any is corrupted (bits per character, line):"
charlstm score "$work/model" "$work/today" --top 3 -q | cut -f 1,6-

# mixed has some corrupted lines, and kinds says which.
python3 "$here/oddlines.py" corrupt "$work/today" "$work/mixed" "$work/kinds"
charlstm score "$work/model" "$work/mixed" -q | cut -f 1 > "$work/scores"
python3 "$here/oddlines.py" compare "$work/old" "$work/mixed" "$work/kinds" "$work/scores"
