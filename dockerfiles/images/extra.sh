#!/bin/sh
# extra.sh [PACKAGE [ROOT]]: installs the extra modules and firmware of kernel KERNEL_VERSION on the system whose
# /lib/modules and /lib/firmware this container is given. A second start does nothing; one that failed is done again.
set -eu

package=${1:-/extras.tar.gz}
root=${2:-}
modules=$root/lib/modules/${KERNEL_VERSION:?is not set: which kernel release to install for}
stamp=$modules/.extras-done

if [ -e "$stamp" ]; then
    echo "The extras of $KERNEL_VERSION are installed already."
    exit 0
fi

echo "Installing the extras of $KERNEL_VERSION ..."
tar -xzf "$package" -C "$root/" || {
    echo "Could not unpack $package; the next start tries again." >&2
    exit 1
}
if [ "$(uname -r)" = "$KERNEL_VERSION" ]; then
    # By its path: busybox's shell takes its own depmod for a bare name, which leaves a stale modules.dep.bin.
    /sbin/depmod -a -b "${root:-/}" "$KERNEL_VERSION"
fi
mkdir -p "$modules"
touch "$stamp"
echo "Installed the extras of $KERNEL_VERSION."
