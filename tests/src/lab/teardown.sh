# Takes down what one test run made, and nothing else.
#   host DIR    one host
#   run DIR     everything of a run
#   watch DIR   the same, when standard input ends: its other end is held by
#               the test process, so that no way of dying leaves anything behind

stop_processes() { # DIR
    local group pass
    while read -r group; do
        [ -e "$group/payload/cgroup.kill" ] && echo 1 > "$group/payload/cgroup.kill"
        for pass in $(seq 100); do
            [ -d "$group" ] && find "$group" -name cgroup.procs -exec cat {} + 2> /dev/null | grep -q . || break
            [ "$pass" = 60 ] && [ -e "$group/cgroup.kill" ] && echo 1 > "$group/cgroup.kill"
            sleep 0.05
        done
    done < "$1/cgroups"
}

unmount() { # DIR
    local pass
    for pass in $(seq 60); do
        mountpoint -q "$1" || return 0
        umount "$1" && return 0
        sleep 0.05
    done
    umount --lazy "$1"
}

take_down_host() { # DIR
    local machine group
    [ -d "$1" ] || return 0
    machine=$(cat "$1/machine")
    [ -e "$1/cgroups" ] && stop_processes "$1"
    unmount "$1/merged"
    [ -e "/run/netns/$machine" ] && ip netns delete "$machine"
    while read -r group; do
        [ -d "$group" ] && find "$group" -depth -type d -exec rmdir {} ';'
    done < "$1/cgroups"
    [ -d "/run/systemd/nspawn/propagate/$machine" ] && rmdir "/run/systemd/nspawn/propagate/$machine"
    rm -rf --one-file-system "$1"
}

take_down_run() { # DIR
    local host netns setting
    exec 9> "$1.lock"
    flock 9
    if [ -d "$1" ]; then
        for host in "$1"/hosts/*; do
            take_down_host "$host" &
        done
        wait
        for setting in "$1"/sysctl/*; do
            [ -e "$setting" ] && sysctl --quiet --write "${setting##*/}=$(cat "$setting")"
        done
        netns=$(cat "$1/netns")
        if [ -e "/run/netns/$netns" ]; then
            ip netns pids "$netns" | xargs --no-run-if-empty kill -KILL
            ip netns delete "$netns"
        fi
        rm -rf --one-file-system "$1"
    fi
    rm -f "$1.lock" "$1.alive"
}

main() {
    exec 2> /dev/null
    case $1 in
        host) take_down_host "$2" ;;
        run) take_down_run "$2" ;;
        watch) cat > /dev/null; take_down_run "$2" ;;
    esac
    exit 0
}
main "$@"
