#!/bin/sh
# One round with a gobi, wherever it runs: a server, a person, two folders in step.
#   sh round.sh PROGRAM FOLDER PORT
set -eu
gobi=$1 folder=$2 url=http://127.0.0.1:$3
export HOME="$folder" XDG_CACHE_HOME="$folder/.cache" GOBI_DATA_DIR="$folder/data" GOBI_LISTEN="127.0.0.1:$3"
mkdir -p "$folder/one" "$folder/two"
cd "$folder"
"$gobi" --version
"$gobi" serve >server.log 2>&1 &
server=$!
trap 'kill "$server"; cat server.log' EXIT
echo 'a password of some length' >password
"$gobi" user add ann --password-file password
for device in one two; do
	tries=0
	until "$gobi" connect "$device" "$url" notes --user ann --password-file password --device "$device" --create; do
		# 69: the server is not there yet.
		[ $? = 69 ] && kill -0 "$server" && [ "$tries" -lt 100 ]
		tries=$((tries + 1))
		sleep 0.3
	done
done
for n in $(seq 50); do echo "note $n" >"one/$n.md"; done
"$gobi" sync one
"$gobi" sync two
diff -r --exclude=.gobi one two
[ "$(cat two/50.md)" = 'note 50' ]
kill "$server"
wait "$server"
trap - EXIT
if grep -i -E 'traceback|error' server.log; then exit 1; fi
echo 'in step'
