#!/bin/sh
# Answer in the manner of one speaker of a chat.
#
# Usage: sh examples/chat.sh [FILE [SPEAKER]]
# FILE is an exported chat with lines such as "Ann: hello", with or without a date before the name.
# Without it, the script makes up a chat. SPEAKER is by default the one who says most in the last
# tenth. Each line that you type gets an answer. Ctrl-D ends the chat, and figures follow. MINUTES
# sets the time for training.
set -eu
export PYTHONUTF8=1 PYTHONSAFEPATH=  # Helpers use UTF-8, and import others of this folder.
here=$(dirname -- "$0")
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP TERM
trap 'echo "Interrupted. The script keeps nothing to resume." >&2; exit 130' INT
export CHARLSTM_CACHE="$work/cache"  # It has parts of the text, and is removed too.
fail() { echo "$0: $*" >&2; exit 1; }

if [ $# -gt 0 ]; then
    python3 "$here/common.py" "$1"
else
    python3 "$here/chat.py" make
fi > "$work/given"
python3 "$here/chat.py" clean < "$work/given" > "$work/chat"

lines=$(wc -l < "$work/chat")
[ "$lines" -ge 200 ] || fail "give a chat of at least 200 messages."
speakers=$(cut -d : -f 1 "$work/chat" | sort -u | wc -l)
[ "$speakers" -gt 1 ] || fail "$1 has one speaker. A chat needs two."
head -n $((lines - lines / 10)) "$work/chat" > "$work/old"
tail -n $((lines / 10)) "$work/chat" | head -n 1000 > "$work/new"

# The names in these last messages, the one who says most first.
cut -d : -f 1 "$work/new" | sort | uniq -c | sort -k 1,1nr | sed 's/^ *[0-9]* //' > "$work/names"
speaker=${2:-$(head -n 1 "$work/names")}
you=$(grep -vxF -e "$speaker" "$work/names" | head -n 1)
said=$(cut -d : -f 1 "$work/new" | grep -cxF -e "$speaker" || :)
[ "$said" -ge 20 ] ||
    fail "$speaker needs 20 messages in the last tenth of the chat, and has $said." \
        "The speakers there: $(head -n 10 "$work/names" | paste -s -d , - | sed 's/,/, /g')."

charlstm train "$work/old" --minutes "${MINUTES:-2}" --sample-every 0 -o "$work/model" \
    > "$work/path"

printf 'You are %s, and %s answers. Ctrl-D ends the chat.\n' "${you:=You}" "$speaker"
while IFS= read -r line; do
    # The file has the whole conversation, and ends where the answer begins.
    printf '%s: %s\n%s:' "$you" "$line" "$speaker" >> "$work/talk"
    answer=$(charlstm generate "$work/model" --prompt-file "$work/talk" --until line --no-prompt -q)
    printf '%s\n' "$answer" >> "$work/talk"
    printf '%s:%s\n' "$speaker" "$answer"
done

# Held-out messages, each after the messages before it, and in shuffled order.
python3 "$here/chat.py" shuffle "$work/new" > "$work/shuffled"
for order in new shuffled; do
    charlstm score "$work/model" "$work/$order" --carry --per-token --json -q > "$work/$order.json"
done
python3 "$here/chat.py" compare "$speaker" "$work/new.json" "$work/shuffled.json"
