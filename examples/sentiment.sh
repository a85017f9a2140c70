#!/bin/sh
# Label texts, such as reviews as positive or negative, with one language model per label.
#
# Usage: sh examples/sentiment.sh [TABLE]
# TABLE has a header line, and then a label, a tab and a text per line. Without it, the script makes
# up remarks on films. A fifth of the different texts (at most 1,000), chosen at random, is tested.
# Each model starts from english and learns the other texts of its label. MINUTES sets the time for
# training the first.
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
    python3 "$here/sentiment.py" make
fi > "$work/table"
python3 "$here/sentiment.py" divide "$work" "$work/table"

# The first model trains for MINUTES, the others read their texts as often, with equal settings.
length=--minutes amount=${MINUTES:-0.75}
while IFS= read -r label; do
    charlstm train "$work/$label.txt" --lines --from english "$length" "$amount" \
        --warmup-steps 20 --dropout 0 --sample-every 0 --json -o "$work/model-$label" > "$work/run"
    length=--epochs amount=$(sed 's/.*"epochs":\([^,]*\),.*/\1/' "$work/run")
    charlstm score "$work/model-$label" "$work/test" --json -q > "$work/$label.json"
done < "$work/labels"

# The label whose model finds the text most probable is chosen.
python3 "$here/sentiment.py" report "$work"
