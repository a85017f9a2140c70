#!/bin/sh
# Find out which of several authors wrote a page, by bits per character.
#
# Usage: sh examples/authors.sh [FOLDER FOLDER...]
# Each folder has plain texts of one author. Without them, the code of three packages of Python is
# read. Pages of every third file are tested, and a model per author learns the other files.
# MINUTES sets the time for training the first.
set -eu
export PYTHONUTF8=1 PYTHONSAFEPATH=  # Helpers use UTF-8, and import others of this folder.
here=$(dirname -- "$0")
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP TERM
trap 'echo "Interrupted. The script keeps nothing to resume." >&2; exit 130' INT
export CHARLSTM_CACHE="$work/cache"  # It has parts of the text, and is removed too.
if [ $# -eq 0 ]; then
    library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    set -- "$library/asyncio" "$library/email" "$library/multiprocessing"
fi

# 1. Training texts of equal length, and pages of 1,000 characters from other files.
python3 "$here/authors.py" divide "$work" "$@"

# 2. A model for each author. Don't start from a model that may have read the held-out pages. The
#    first one trains for MINUTES, the others read as much: more training would favor an author.
length=--minutes amount=${MINUTES:-1}
while IFS= read -r name; do
    charlstm train "$work/$name.txt" --size small "$length" "$amount" --warmup-steps 20 \
        --dropout 0 --sample-every 0 --json -o "$work/model-$name" > "$work/run"
    length=--epochs amount=$(sed 's/.*"epochs":\([^,]*\),.*/\1/' "$work/run")
    charlstm score "$work/model-$name" "$work/pages" --json -q > "$work/scores-$name"
done < "$work/names"

# 3. The author is the one whose model needs the fewest bits per character. The baseline compresses
#    each page with pieces of each author's text as a dictionary (zlib).
python3 "$here/authors.py" report "$work"
