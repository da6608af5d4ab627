# MMPROXY_COMPLETION_FOLDER(SHELL, VARIABLE, CONDITIONAL, DEFAULT): --with-SHELL-completion-dir=DIR; with
# `no` nothing is installed. The default is below the prefix, where the shell looks as long as that is
# /usr or /usr/local; it is taken literally, so that make can still be told another prefix.
AC_DEFUN([MMPROXY_COMPLETION_FOLDER], [
	AC_ARG_WITH([$1-completion-dir],
		[AS_HELP_STRING([--with-$1-completion-dir=DIR], [where completions for $1 go, or no @<:@default: DATADIR/$4@:>@])],
		[$2=$withval], [$2=yes])
	AS_IF([test "x$[]$2" = xyes], [$2='${datadir}/$4'])
	AS_IF([test "x$[]$2" = xno], [$2=])
	AC_SUBST([$2])
	AM_CONDITIONAL([$3], [test "x$[]$2" != x])
])
