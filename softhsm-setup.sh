#!/bin/sh
# Make a SoftHSM token to try Sealwright with: `./softhsm-setup.sh [DIR]` (default: .state).
#
# Installs SoftHSM if it is missing and if it may (otherwise it names the command), then makes,
# under DIR and nowhere else:
#
#   softhsm2.conf, tokens/    SoftHSM's configuration and its storage
#   user.pin, so.pin          random PINs, mode 0600; no PIN ever stands in an argument list
#   token.env                 the settings that `sealwright serve` and `sealwright doctor` read:
#                             set -a; . DIR/token.env; set +a
#
# Run again, it changes nothing: the same token, the same PINs.
set -eu
umask 077

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-$here/.state}"
state=$(cd "${1:-$here/.state}" && pwd)
label=${SEALWRIGHT_TOKEN_LABEL:-sealwright}

"$here/scripts/system-packages" run

module=''
for candidate in ${SEALWRIGHT_PKCS11_MODULE:+"$SEALWRIGHT_PKCS11_MODULE"} \
    /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so \
    /usr/lib64/pkcs11/libsofthsm2.so /usr/lib64/libsofthsm2.so \
    /opt/homebrew/lib/softhsm/libsofthsm2.so /usr/local/lib/softhsm/libsofthsm2.so; do
    if [ -e "$candidate" ]; then
        module=$candidate
        break
    fi
done
[ -n "$module" ] || {
    echo "libsofthsm2.so is not where packages put it; name it in SEALWRIGHT_PKCS11_MODULE" >&2
    exit 1
}

# The token is made by our own code (C_InitToken and C_InitPIN): softhsm2-util takes PINs as
# arguments, where every user of the machine can read them.
[ -x "$here/.venv/bin/sealwright" ] || make -s -C "$here" .venv/.ok

mkdir -p "$state/tokens"
cat >"$state/softhsm2.conf" <<CONF
directories.tokendir = $state/tokens
objectstore.backend = file
log.level = ERROR
CONF
SOFTHSM2_CONF=$state/softhsm2.conf
export SOFTHSM2_CONF

serial=$("$here/.venv/bin/python" -m service.keyring.provision --module "$module" \
    --label "$label" --so-pin-file "$state/so.pin" --pin-file "$state/user.pin" |
    sed -n 's/.*"serial": *"\([^"]*\)".*/\1/p')
[ -n "$serial" ] || {
    echo "the token was not made" >&2
    exit 1
}

# Written whole and then renamed, because make takes its presence for success.
cat >"$state/token.env.new" <<ENV
SOFTHSM2_CONF='$SOFTHSM2_CONF'
SEALWRIGHT_PKCS11_MODULE='$module'
SEALWRIGHT_TOKEN_LABEL='$label'
SEALWRIGHT_TOKEN_SERIAL='$serial'
SEALWRIGHT_PIN_FILE='$state/user.pin'
ENV
mv "$state/token.env.new" "$state/token.env"
echo "token '$label' (serial $serial): $state/token.env"
