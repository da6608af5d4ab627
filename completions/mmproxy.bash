# SPDX-License-Identifier: MIT
# Completion of mmproxy(8) for bash 4.4 and later. Installed as `mmproxy`, where the package
# bash-completion loads it by that name; a .bashrc can source it without that package as well, for it
# uses none of its helpers.

_mmproxy()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word
	local asks='-h --help --version' runs='-v --verbose --check' file='--config'
	local listener='-l --listen-addr -4 --ipv4 -6 --ipv6 -a --allowed-subnets -p --protocol
		-m --mark --listeners -c --close-after --permit-source'

	COMPREPLY=()
	# "--config=FILE" is three words here, as long as '=' is in COMP_WORDBREAKS.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi

	case $prev in
	--config | -a | --allowed-subnets)
		compopt -o default # readline's own completion of file names
		return
		;;
	-p | --protocol)
		mapfile -t COMPREPLY < <(compgen -W 'tcp udp' -- "$cur")
		return
		;;
	-l | --listen-addr | -4 | --ipv4 | -6 | --ipv6 | -m | --mark | --listeners | \
		-c | --close-after | --permit-source)
		return # an address or a number that only its author knows
		;;
	esac

	# A file and the options of the short form exclude each other.
	for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
		case $word in
		--config)
			listener='' file=''
			;;
		-[l46apmc] | --listen-addr | --ipv[46] | --allowed-subnets | --protocol | --mark | \
			--listeners | --close-after | --permit-source)
			file=''
			;;
		esac
	done
	[[ $cur == -* || -z $cur ]] &&
		mapfile -t COMPREPLY < <(compgen -W "$file $runs $listener $asks" -- "$cur")
}

complete -F _mmproxy mmproxy
