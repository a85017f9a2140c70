#!/bin/sh
# Rewrite short texts by example, such as dates: "5 March 1887" becomes "1887-03-05".
#
# Usage: sh examples/dates.sh [PAIRS]
# Each line of PAIRS has a text, a tab, and the text that it becomes. Without it, the script makes up
# dates in nine forms. A tenth of the pairs (at most 500) is tested, the others are learned, by a
# network with attention and by one without. MINUTES sets the time for training each.
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
    python3 "$here/dates.py" make
fi > "$work/pairs"
longest=$(python3 "$here/dates.py" divide "$work" "$work/pairs")

for network in attention plain; do
    option=
    [ "$network" = plain ] || option=--attention
    charlstm train "$work/learn" --lines --format text --minutes "${MINUTES:-1.25}" \
        ${option:+"$option"} --sample-every 0 -o "$work/$network" > "$work/path"

    # The model continues each text and its tab with the most probable characters.
    charlstm generate "$work/$network" --prompts "$work/prompts" --temperature 0 \
        --length "$longest" --json -q > "$work/answers-$network"
done
python3 "$here/dates.py" report "$work"

# Translation is the same task with longer texts and far more words. The network would have to keep
# a whole sentence, and learn from millions of pairs which words belong together.
