#!/bin/sh
# Invent names, or other short words, that match a pattern and are not in a list.
#
# Usage: sh examples/names.sh [FILE [REGEX]]
# FILE has one name per line, at least 1,000. Without it, the list is the English words in Python's
# documentation. REGEX is what inventions must match, by default any 5 to 9 characters. MINUTES
# sets the time for training.
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
    python3 "$here/names.py" words
fi > "$work/given"
sed '/^$/d' "$work/given" | LC_ALL=C sort -u > "$work/list"
regex=${2:-'.{5,9}'}
python3 "$here/names.py" check "$regex"

names=$(wc -l < "$work/list")
[ "$names" -ge 1000 ] || { echo "$0: give a list of at least 1,000 names." >&2; exit 1; }

# The model doesn't see every tenth name. A plausible invention may be one of these.
awk -v held="$work/held" 'NR % 10 { print; next } { print > held }' "$work/list" > "$work/train"

charlstm train "$work/train" --lines --minutes "${MINUTES:-2}" --sample-every 0 \
    -o "$work/model" > "$work/path"

echo "New names that match $regex:"
charlstm generate "$work/model" --match "$regex" --novel --unique --against "$work/held" \
    --count 10 --seed 1 -q

# Some lists allow fewer than 10,000 inventions. A thousand is enough to count.
charlstm generate "$work/model" --novel --unique --count 10000 --seed 1 -q \
    > "$work/new" 2> "$work/errors" || [ "$(wc -l < "$work/new")" -ge 1000 ] ||
    { cat "$work/errors" >&2; exit 1; }
python3 "$here/names.py" compare "$work/train" "$work/held" "$work/new"
