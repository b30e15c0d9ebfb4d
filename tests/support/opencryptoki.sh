#!/bin/sh
# Run a command beside an opencryptoki of its own: opencryptoki.sh DIRECTORY COMMAND...
#
# Its daemon has one socket, one shared memory segment and one configuration a machine. So it gets
# namespaces (mount, IPC, process) with file systems in memory over its directories: nothing of
# the machine's own is touched, and all of it ends with the command. DIRECTORY holds the SO PIN
# (so-pin) and the user PIN (pin, 4 to 8 characters) of the token "ock", which is made here.
set -eu

if [ "${1-}" != --inside ]; then
    exec unshare --mount --ipc --pid --fork --kill-child --mount-proc "$0" --inside "$@"
fi
shift
directory=$1
shift
mount -t tmpfs none /run
for each in /var/lib/opencryptoki /etc/opencryptoki; do mount -t tmpfs none "$each"; done
# Debian's /var/lock is /run/lock.
lock=/var/lock/opencryptoki
[ -d /run/lock ] || mkdir /run/lock
mkdir -p "$lock"
cat >/etc/opencryptoki/opencryptoki.conf <<END
version opencryptoki-3.1
slot 3
{
stdll = libpkcs11_sw.so
tokname = swtok
}
slot 4
{
stdll = libpkcs11_sw.so
tokname = swtok2
}
END
for token in swtok swtok2; do
    mkdir -p "/var/lib/opencryptoki/$token/TOK_OBJ" "$lock/$token"
done
chgrp -R pkcs11 /var/lib/opencryptoki "$lock"
chmod -R 770 /var/lib/opencryptoki "$lock"
PATH="$PATH:/usr/sbin:/sbin" pkcsslotd
for label in ock other; do
    "$PYTHON" -m service.keyring.provision --module "$OPENCRYPTOKI" --label $label \
        --so-pin-file "$directory/so-pin" --pin-file "$directory/pin" >/dev/null
done
exec "$@"
