# shellcheck shell=busybox
# Runs a command with its streams connected to files:
#   BUSYBOX sh -c SCRIPT BUSYBOX STDIN STDOUT STDERR COMMAND [ARGUMENT...]
# It stays until the command has ended, and then says what the kernel counted for its own control group.
# A secret of the platform may bring variables of the flow run (envFrom); no name of them is known before.
# Variables of this script have names that no tool's environment has, and none of them is left to the tool.

_cwl_fail() { printf '%s: %s' "$1" "$2" > /dev/termination-log; exit "$3"; }
_cwl_in=$1 _cwl_out=$2 _cwl_err=$3
shift 3
# Where a pod shares no volume, who uploads what is left waits for the end of this pipe, which comes however this ends.
[ ! -p "${0%/*}/alive" ] || exec 9> "${0%/*}/alive"
[ -f "$_cwl_out" ] && [ -f "$_cwl_err" ] ||
  _cwl_fail StartFailed "the pod does not see what the run wrote to the shared volume" 125
[ -r "$_cwl_in" ] || _cwl_fail StartFailed "its stdin cannot be read" 125
{ true > "$_cwl_out"; } 2>/dev/null ||
  _cwl_fail StartFailed "stdout cannot be written by the user that the pod runs as" 125
exec < "$_cwl_in" > "$_cwl_out" 2>&1
[ "$_cwl_out" = "$_cwl_err" ] || exec 2> "$_cwl_err"
_cwl_ifs=$IFS; set -f; IFS="
"
for _cwl_name in $(export -p); do
  _cwl_name=${_cwl_name#export }
  _cwl_name=${_cwl_name%%=*}
  case $_cwl_name in
  *[!A-Za-z0-9_]*) continue ;;
  [Pp][Rr][Ee][Ff][Ee][Cc][Tt]_* | [Cc][Ww][Ll]_[Pp][Rr][Ee][Ff][Ee][Cc][Tt]_*) ;;
  *) continue ;;
  esac
  case ${_cwl_kept-} in
  *" $_cwl_name "*) ;;
  *) unset "$_cwl_name" ;;
  esac
done
IFS=$_cwl_ifs; set +f
_cwl_name=$1
shift
case $_cwl_name in
*/*)
  _cwl_program=$_cwl_name
  [ -e "$_cwl_name" ] || _cwl_fail CommandNotFound "$_cwl_name: no such file" 127
  ;;
*)
  _cwl_program=
  _cwl_ifs=$IFS; IFS=:; set -f
  for _cwl_folder in ${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}; do
    [ -f "$_cwl_folder/$_cwl_name" ] && [ -x "$_cwl_folder/$_cwl_name" ] &&
      _cwl_program=$_cwl_folder/$_cwl_name && break
  done
  IFS=$_cwl_ifs; set +f
  [ -n "$_cwl_program" ] || _cwl_fail CommandNotFound "$_cwl_name: not found in PATH" 127
  ;;
esac
[ -d "$_cwl_program" ] && _cwl_fail CommandNotExecutable "$_cwl_name: is a directory" 126
[ -x "$_cwl_program" ] || _cwl_fail CommandNotExecutable "$_cwl_name: permission denied" 126
unset _cwl_in _cwl_out _cwl_err _cwl_ifs _cwl_folder _cwl_kept
# An asynchronous command (`&`) would ignore SIGINT for ever, and with one in the foreground no signal would be passed
# on; a process substitution does neither. Old versions of busybox have none: nothing is measured there.
if ! ( eval 'true <(true)' ) 2> /dev/null; then
  # shellcheck disable=SC3038 # the ash of busybox has it
  exec -a "$_cwl_name" "$_cwl_program" "$@"
fi

# shellcheck disable=SC2329 # what is evaluated below calls it
_cwl_run() { # prints the process of the command, and its exit status
  exec 4>&2 2> /dev/null # where a shell says which signal ended a command
  (
    read -r _cwl_pid _ < /proc/self/stat
    echo "$_cwl_pid"
    # A session of its own, as the first process of a container has one: `kill 0` reaches no more than it did.
    # shellcheck disable=SC2016 # the inner shell expands it
    exec "$0" setsid "$0" sh -c 'exec -a "$@"' launcher "$_cwl_name" "$_cwl_program" "$@" >&3 2>&4 3>&- 4>&- 9>&-
  )
  echo "$?"
}
exec 3>&1
eval 'exec 5< <(_cwl_run "$@")'
exec 3>&-
read -r _cwl_pid <&5
for _cwl_signal in HUP INT QUIT TERM USR1 USR2; do
  # shellcheck disable=SC2064 # both are known
  trap "_cwl_signalled=yes; kill -$_cwl_signal $_cwl_pid 2> /dev/null" "$_cwl_signal"
done
until _cwl_signalled=; read -r _cwl_status <&5; do
  # a signal interrupts it; else whoever would have told the status was killed
  [ -n "$_cwl_signalled" ] || { _cwl_status=137; break; }
done

_cwl_group() { # CONTROLLER: sets _cwl_at to its directory, or to that of version 2
  _cwl_at=/sys/fs/cgroup/$1
  while IFS=: read -r _ _cwl_names _cwl_below; do
    case ,$_cwl_names, in
    *,"$1",*) [ ! -d "$_cwl_at/$_cwl_below" ] || _cwl_at=$_cwl_at/$_cwl_below ;;
    esac
  done < /proc/self/cgroup
}
_cwl_say() { # FILE [WORD]: its lines, behind its name; those with a word
  [ -r "$_cwl_at/$1" ] || return 0
  while read -r _cwl_line; do
    case $_cwl_line in
    *"${2-}"*) echo "$1 $_cwl_line" ;;
    esac
  done < "$_cwl_at/$1"
}
{
  if [ -d /sys/fs/cgroup/memory ]; then
    _cwl_group cpuacct
    _cwl_say cpuacct.usage
    _cwl_group memory
    _cwl_say memory.max_usage_in_bytes
    _cwl_group blkio
    _cwl_say blkio.throttle.io_service_bytes_recursive Read
  else
    _cwl_group ""
    [ ! -e "$_cwl_at/cgroup.type" ] || # the root, which counts for the whole node, has none
      { _cwl_say memory.peak; _cwl_say cpu.stat usage_usec; _cwl_say io.stat; }
  fi
  echo end
} 2> /dev/null > /dev/termination-log
exit "$_cwl_status"
