#!/bin/sh
# headers.sh [PACKAGE [ROOT]]: installs the headers of kernel KERNEL_VERSION, to build modules against, as
# /lib/modules/KERNEL_VERSION/build of the system whose /lib/modules this container is given. A second start does
# nothing; one that failed is done again.
set -eu

package=${1:-/build.tar.gz}
root=${2:-}
modules=$root/lib/modules/${KERNEL_VERSION:?is not set: which kernel release to install for}
stamp=$modules/.headers-done

if [ -e "$stamp" ]; then
    echo "The headers of $KERNEL_VERSION are installed already."
    exit 0
fi

echo "Installing the headers of $KERNEL_VERSION ..."
mkdir -p "$modules"
find "$modules" -maxdepth 1 -name '.build.*' -mmin +60 -exec rm -rf {} + # of starts that were killed
new=$(mktemp -d "$modules/.build.XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"
tar -xzf "$package" -C "$new" || {
    echo "Could not unpack $package; the next start tries again." >&2
    exit 1
}
rm -rf "$modules/build" # a folder, or a link: then the link itself
# It fails only when another container, started together with this one, was faster.
mv -T "$new" "$modules/build" || [ -d "$modules/build" ]
touch "$stamp"
echo "Installed the headers of $KERNEL_VERSION."
