#!/bin/busybox sh
# The init of `rosk boot`. It runs every check, loads every module of /rosk/modules, and says on the console what came
# of each (builder/boot/console.py reads it):
#   rosk: begin RELEASE          rosk: ok CHECK             rosk: loading PATH     rosk: module PATH loaded
#   rosk: end                    rosk: fail CHECK: WHY      rosk: trying CHECK     rosk: module PATH refused: WHY
# Nothing may keep it waiting for ever: what hangs is left behind, and said.
# Modules are found by the kernel itself and by kmod's modprobe, from the kernel package and its index alone, until all
# checks are done.
export PATH=/usr/sbin:/usr/bin:/rosk/bin
exec </dev/null >/dev/kmsg 2>&1
CHECK_SECONDS=90 MODULE_SECONDS=60

# Debian's busybox takes its own applets before any program of PATH.
ip() { /usr/bin/ip "$@"; }
modprobe() { /usr/sbin/modprobe "$@"; }
iptables() { /usr/sbin/iptables-nft "$@"; }

say() { echo "rosk: $*"; }

# within SECONDS COMMAND...: its exit code, or 124 when it is not done by then; what it prints is in /rosk/out.
within() {
    limit=$1
    shift
    turn=$((turn + 1))
    ( "$@" >/rosk/out 2>&1; echo "$turn $?" >&9 ) &
    while read -r -t "$limit" was code <&9; do
        [ "$was" = "$turn" ] && return "$code"
    done
    return 124
}

# The last line that a command printed, without the name of the program that said it.
words() { tail -n 1 /rosk/out | cut -c 1-300; }

check() {
    name=$1
    shift
    say "trying $name"
    within $CHECK_SECONDS "$@"
    case $? in
    0) say "ok $name" ;;
    124) say "fail $name: no answer in $CHECK_SECONDS s" ;;
    *) say "fail $name: $(words)" ;;
    esac
}

release() {
    [ "$(uname -r)" = "$(cat /rosk/release)" ] || { echo "it calls itself $(uname -r)"; return 1; }
}

console() {
    grep -q "^$(cat /rosk/console) " /proc/consoles || { echo "the serial port is no console"; return 1; }
}

# The device of the virtio disk with a serial number.
disk() {
    modprobe -q virtio_pci
    modprobe -q virtio_blk
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        for serial in /sys/block/*/serial; do
            [ "$(cat "$serial" 2>/dev/null)" = "$1" ] && basename "${serial%/serial}" && return 0
        done
        sleep 0.2
    done
    echo "no virtio disk appeared" >&2
    return 1
}

virtio_disks() { disk ext4 && disk squashfs; }

mounted() {
    device=$(disk "$1") || { echo "no virtio disk to mount"; return 1; }
    mkdir -p "/mnt/$1" && mount -t "$1" -o "$2" "/dev/$device" "/mnt/$1" && grep -q rosk "/mnt/$1/hello"
}

ext4() { mounted ext4 rw && echo written >/mnt/ext4/new && sync && grep -q written /mnt/ext4/new; }

squashfs() { mounted squashfs ro; }

# As Docker does it: a file of the lower layer is changed, and stays as it was there.
overlay() {
    mkdir -p /mnt/layers /mnt/overlay && mount -t tmpfs none /mnt/layers &&
        mkdir /mnt/layers/lower /mnt/layers/upper /mnt/layers/work && echo lower >/mnt/layers/lower/file &&
        mount -t overlay -o lowerdir=/mnt/layers/lower,upperdir=/mnt/layers/upper,workdir=/mnt/layers/work \
            none /mnt/overlay &&
        echo upper >/mnt/overlay/file && grep -q lower /mnt/layers/lower/file && grep -q upper /mnt/layers/upper/file
}

namespace() { [ -e "/proc/self/ns/$1" ] || { echo "there is no /proc/self/ns/$1"; return 1; }; }

namespaces() { unshare --mount --uts --ipc --net --pid --fork --user --map-root-user true; }

bridge() { ip link add rosk0 type bridge && ip addr add 10.9.0.1/24 dev rosk0 && ip link set rosk0 up; }

# A container on the bridge: NAME ADDRESS.
container() {
    ip netns add "$1" && ip link add "v$1" type veth peer name eth0 netns "$1" && ip link set "v$1" master rosk0 up &&
        ip -n "$1" addr add "$2/24" dev eth0 && ip -n "$1" link set lo up && ip -n "$1" link set eth0 up &&
        ip -n "$1" route add default via 10.9.0.1
}

veth() { container one 10.9.0.2 && container two 10.9.0.3; }

ping_across() { ip netns exec one ping -c 1 -W 20 10.9.0.3; }

nftables() { nft -f /rosk/nat.nft && nft list ruleset | grep -q masquerade; }

# A network that has no way back to the containers: an answer proves that the address was translated.
nat() {
    ip netns add out && ip link add vout type veth peer name eth0 netns out && ip addr add 192.0.2.1/24 dev vout &&
        ip link set vout up && ip -n out addr add 192.0.2.2/24 dev eth0 && ip -n out link set eth0 up &&
        echo 1 >/proc/sys/net/ipv4/ip_forward && ip netns exec one ping -c 1 -W 20 192.0.2.2
}

# The rules that Docker's daemon makes at its start and for a published port.
iptables_rules() {
    iptables -t nat -N DOCKER && iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER &&
        iptables -t nat -A DOCKER ! -i rosk0 -p tcp --dport 80 -j DNAT --to-destination 10.9.0.2:80 &&
        iptables -t nat -A POSTROUTING -s 10.9.0.0/24 ! -o rosk0 -j MASQUERADE &&
        iptables -A FORWARD -o rosk0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
}

cgroup2() {
    mkdir -p /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && mkdir /sys/fs/cgroup/rosk &&
        echo 0 >/sys/fs/cgroup/rosk/cgroup.procs
}

controller() {
    grep -qw "$1" /sys/fs/cgroup/cgroup.controllers || { echo "cgroup.controllers lacks it"; return 1; }
    echo "+$1" >/sys/fs/cgroup/cgroup.subtree_control && [ -e "/sys/fs/cgroup/rosk/$2" ]
}

# Docker on cgroups v2 allows devices with a BPF program; the kernel's functions for it are the only trace.
cgroup_bpf() { grep -q ' cgroup_bpf_prog_attach' /proc/kallsyms || { echo "not in /proc/kallsyms"; return 1; }; }

seccomp() { grep -q '^Seccomp_filters:' /proc/self/status || { echo "/proc/self/status tells of none"; return 1; }; }

keys() { [ -e /proc/keys ] || { echo "there is no /proc/keys"; return 1; }; }

mqueue() { mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue; }

devpts() { mkdir -p /dev/pts && mount -t devpts -o newinstance none /dev/pts && [ -e /dev/pts/ptmx ]; }

# A module's path and its name, under which the kernel has it already when a check needed it.
load() {
    [ -d "/sys/module/$2" ] && { say "module $1 loaded"; return; }
    say "loading $1"
    within $MODULE_SECONDS insmod "$modules/$1"
    case $? in
    0) say "module $1 loaded" ;;
    124) say "module $1 refused: no answer in $MODULE_SECONDS s" ;;
    *) say "module $1 refused: $(words)" ;;
    esac
}

# A module from elsewhere: its path, its name, what it depends on. Others may have its name, so that it goes again.
external() {
    path=$1 name=$2
    shift 2
    for needed; do modprobe -q "$needed"; done
    load "$path" "$name"
    [ -d "/sys/module/$name" ] || return
    shows=$(cat "/sys/kernel/$name/release" 2>/dev/null)
    [ -z "$shows" ] || [ "$shows" = "$(uname -r)" ] || say "fail external: $path shows the release $shows"
    within $MODULE_SECONDS rmmod "$name" || say "fail external: $path cannot be unloaded: $(words)"
}

shell_on() {
    echo "Linux $(uname -r). All of the kernel package is below /lib/modules. To leave: exit" >"/dev/$1"
    cd / && setsid -c sh -l <"/dev/$1" >"/dev/$1" 2>&1
}

leave() {
    sync
    reboot -f
}

/bin/busybox mkdir -p /rosk/bin /proc /sys /dev /tmp /run /mnt /etc
/bin/busybox --install -s /rosk/bin
mount -t proc none /proc
mount -t sysfs none /sys
say "begin $(uname -r)"
mkfifo /rosk/done
exec 9<>/rosk/done
turn=0
mount -t devtmpfs none /dev || mount_dev=no

shell=$(sed -n 's/.*rosk\.shell=\([^ ]*\).*/\1/p' /proc/cmdline)
if [ -n "$shell" ]; then
    shell_on "$shell"
    leave
fi

check release release
check console console
check devtmpfs [ "$mount_dev" != no ]
check virtio-disk virtio_disks
check ext4 ext4
check squashfs squashfs
check overlay overlay
for each in mnt uts ipc net pid user cgroup; do
    check "namespace-$each" namespace "$each"
done
check namespaces namespaces
check bridge bridge
check veth veth
check ping ping_across
check nftables nftables
check nat nat
check iptables iptables_rules
check cgroup2 cgroup2
check cgroup-cpu controller cpu cpu.max
check cgroup-cpuset controller cpuset cpuset.cpus
check cgroup-io controller io io.max
check cgroup-memory controller memory memory.max
check cgroup-pids controller pids pids.max
check cgroup-bpf cgroup_bpf
check seccomp seccomp
check keys keys
check mqueue mqueue
check devpts devpts
modules=/lib/modules/$(cat /rosk/release)
while read -r path name; do
    load "$path" "$name"
done </rosk/modules
modules=/rosk
while read -r line; do
    # shellcheck disable=SC2086 # words
    external $line
done </rosk/external.list
say end
leave
