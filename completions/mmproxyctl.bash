# SPDX-License-Identifier: MIT
# Completion of mmproxyctl(8) for bash 4.4 and later. Installed as `mmproxyctl`, where the package
# bash-completion loads it by that name; a .bashrc can source it without that package as well, for it
# uses none of its helpers.

# _mmproxyctl_asked PATTERN COMMAND...: what matches in the daemon's answer, one a line. Nothing where
# mmproxy does not run, may not be asked or has not answered after a second.
_mmproxyctl_asked()
{
	local pattern=$1

	shift
	command timeout 1 "${program[@]}" --json "$@" 2>/dev/null </dev/null | command grep -oE "$pattern"
}

# No text in the answers can look like one of these keys: quotes in texts have a backslash.
_mmproxyctl_listeners()
{
	_mmproxyctl_asked '"name":"[A-Za-z0-9._-]+"' listeners | command cut -d'"' -f4
}

_mmproxyctl_sessions()
{
	_mmproxyctl_asked '"id":[0-9]+' sessions --limit 1000 | command cut -d: -f2
}

_mmproxyctl_counters()
{
	_mmproxyctl_asked '"[a-z0-9_]+":[0-9]' counters | command cut -d'"' -f2
}

_mmproxyctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word value_of=
	local program=("$1") command='' position=0 options='-s --socket'
	local commands='status listeners sessions clients counters plugins metrics top kill reload drain
		log-level decode routing offload doctor help'
	local valued='-s|--socket|--config|--client|--listener|--older|--limit|--interval|--file|--format'
	valued+='|--max-header'
	local -a words=()

	COMPREPLY=()
	# "--socket=PATH" is three words here, as long as '=' is in COMP_WORDBREAKS.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi

	# The command, how many words stand behind it, and the socket to ask.
	for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
		if [[ $word == = ]]; then
			continue
		elif [[ -n $value_of ]]; then
			[[ $value_of == @(-s|--socket) ]] && program=("$1" --socket "$word")
			value_of=
		elif [[ $word == @($valued) ]]; then
			value_of=$word
		elif [[ $word == @(-s|--socket=)?* ]]; then
			word=${word#-s}
			program=("$1" --socket "${word#--socket=}")
		elif [[ $word == -* ]]; then
			continue
		elif [[ -n $command ]]; then
			position=$((position + 1))
		elif [[ " ${commands//[$'\n\t']/ } " == *" $word "* ]]; then
			command=$word
		fi
	done

	case $prev in
	-s | --socket | --config | --file)
		compopt -o default # readline's own completion of file names
		return
		;;
	--listener)
		mapfile -t words < <(_mmproxyctl_listeners)
		mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$cur")
		return
		;;
	--format)
		mapfile -t COMPREPLY < <(compgen -W 'hex raw pcap' -- "$cur")
		return
		;;
	--client | --older | --limit | --interval | --max-header)
		return # an address or a number that only its author knows
		;;
	esac

	case $command in
	'') options+=' -j --json -h --help --version' words=("$commands") ;;
	sessions) options+=' -j --json --client --listener --older --limit' ;;
	clients) options+=' -j --json --limit' ;;
	top) options+=' --interval --once' ;;
	drain) options+=' -j --json --no-wait' ;;
	decode) options+=' -j --json --file --format --udp --max-header --limit' ;;
	routing) options+=' -j --json --config --nft' ;;
	doctor | offload) options+=' -j --json --config' ;;
	help) ;;
	*) options+=' -j --json' ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
		return
	fi

	case $command/$position in
	counters/0) mapfile -t words < <(_mmproxyctl_counters) ;;
	kill/0) mapfile -t words < <(_mmproxyctl_sessions) ;;
	log-level/0) words=(error warning info debug) ;;
	routing/0) words=(show) ;;
	offload/0) words=(load clear status) ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$cur")
}

complete -F _mmproxyctl mmproxyctl
