# Runs a command as a container of deploy/kubernetes would: as PID 1 of the image's user, without any right, with the
# image's files and the folders that are named, all read-only, but for an empty /tmp. It needs root, and ends with it.
# An empty folder ROOT-archive becomes the volume of archived rows.
#   unshare --mount --propagation private --pid --fork --kill-child sh container.sh ROOT IMAGE USER SOCKETS FOLDER... -- COMMAND...
set -eu
root=$1 image=$2 user=$3 sockets=$4
shift 4
mount -t tmpfs -o mode=755 tmpfs "$root"
mkdir "$root/tmp"
mount -t tmpfs -o mode=1777,size=256m tmpfs "$root/tmp"
for folder in /bin /sbin /lib /lib64 /usr /etc; do
	if [ -L "$folder" ]; then cp -P "$folder" "$root$folder"; elif [ -d "$folder" ]; then set -- "$folder" "$@"; fi
done
while [ "$1" != -- ]; do
	mkdir -p "$root$1"
	mount --bind "$1" "$root$1"
	mount -o remount,bind,ro,nosuid "$root$1"
	shift
done
shift
mkdir -p "$root/srv/app" "$root/proc" "$root/dev" "$root/run/servers"
mount --bind "$image" "$root/srv/app"
mount -o remount,bind,ro "$root/srv/app"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
for socket in "$sockets"/redis "$sockets"/.s.PGSQL.5432; do
	touch "$root/run/servers/${socket##*/}"
	mount --bind "$socket" "$root/run/servers/${socket##*/}"
done
mkdir "$root/srv/archive"
mount --bind "$root-archive" "$root/srv/archive"
mount -o remount,ro "$root"
exec /usr/sbin/chroot "$root" setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs --bounding-set=-all \
	--inh-caps=-all --ambient-caps=-all env --chdir=/srv/app "$@"
