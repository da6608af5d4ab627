# For bash each file is called as its program: the package bash-completion looks for that name. zsh
# looks for one with an underscore in front.
nodist_bashcompletion_DATA =
zshcompletion_DATA =

completions/mmproxy: completions/mmproxy.bash
	$(AM_V_GEN)$(MKDIR_P) $(@D) && cp $(srcdir)/completions/mmproxy.bash $@
completions/mmproxyctl: completions/mmproxyctl.bash
	$(AM_V_GEN)$(MKDIR_P) $(@D) && cp $(srcdir)/completions/mmproxyctl.bash $@

if BASH_COMPLETION
nodist_bashcompletion_DATA += completions/mmproxy
endif
if ZSH_COMPLETION
zshcompletion_DATA += completions/_mmproxy
endif

# As mmproxyctl itself.
if HAVE_JANSSON
if BASH_COMPLETION
nodist_bashcompletion_DATA += completions/mmproxyctl
endif
if ZSH_COMPLETION
zshcompletion_DATA += completions/_mmproxyctl
endif
endif

EXTRA_DIST += completions/mmproxy.bash completions/mmproxyctl.bash completions/_mmproxy completions/_mmproxyctl
CLEANFILES += completions/mmproxy completions/mmproxyctl
