#!/bin/sh
# gobi in one file, for Linux with Python 3.11 or later, on x86-64 and 64-bit ARM. Behind these lines is a zip archive,
# which is unpacked once: for a service into its CacheDirectory=, for root into /var/cache, else into ~/.cache/gobi.
cache=${CACHE_DIRECTORY:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/gobi}
# Run as root, gobi goes on as the data folder's owner, who may not look into root's home.
if [ -z "${CACHE_DIRECTORY:-}${XDG_CACHE_HOME:-}" ] && [ -w /var/cache ] && [ "$(id -u)" = 0 ]; then
	cache=@ROOTS@
fi
unpacked=$cache/@BUILD@-$(uname -m)
python=
for one in python3 python3.14 python3.13 python3.12 python3.11; do
	python=$(command -v "$one") && break
done
if [ -z "$python" ]; then
	echo "gobi: there is no Python: install python3, 3.11 or later" >&2
	exit 69
fi
if [ ! -d "$unpacked" ]; then
	"$python" -IS "$0" "$unpacked" || exit
fi
exec "$python" -IS "$unpacked" "$@"
