#!/bin/sh
# Forecast a monthly series that is written as text. This is a demonstration.
#
# Usage: sh examples/forecast.sh [FILE]
# FILE has one year per line, the oldest first, at least 8: the year and twelve numbers, or in all
# lines only the twelve. Without it, the script makes up a series. The last quarter of the years is
# forecast, each from the year before. MINUTES sets the time for training.
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
    python3 "$here/forecast.py" make
fi > "$work/series"
python3 "$here/forecast.py" write "$work/series" "$work/old" "$work/newer" "$work/prompts"

echo "A line that the model learns: the first month, twelve changes from the year before, and the"
echo "twelve that follow. 50 is no change."
head -n 1 "$work/old"

# A small network, because a larger one learns so few numbers by heart.
charlstm train "$work/old" --valid "$work/newer" --lines --minutes "${MINUTES:-1}" --layers 1 \
    --units 32 --embedding 16 --dropout 0.1 --sample-every 0 -o "$work/model" > "$work/path"

# Temperature 1 without a filter samples from the model's own distribution.
charlstm generate "$work/model" --prompts "$work/prompts" --count 200 --seed 1 \
    --match '[A-Z][a-z]{2}( [0-9]{2}){12} \|( [0-9]{2}){12}' --temperature 1 --min-p 0 \
    --json -q > "$work/samples"
python3 "$here/forecast.py" compare "$work/series" "$work/samples"
