# MMPROXY_SYSTEMD_FOLDER(VARIABLE, CONDITIONAL, WHAT): --with-VARIABLE=DIR, by default what systemd's
# own .pc file says under this name; with `no`, or where there is no systemd, nothing is installed.
AC_DEFUN([MMPROXY_SYSTEMD_FOLDER], [
	AC_ARG_WITH([$1],
		[AS_HELP_STRING([--with-$1=DIR], [where $3 go, or no @<:@default: what pkg-config says of systemd@:>@])],
		[], [with_$1=yes])
	AS_IF([test "x$with_$1" = xyes],
		[with_$1=`$PKG_CONFIG --variable=$1 systemd 2>/dev/null`
		 AS_IF([test "x$with_$1" = x], [with_$1=no])])
	AS_IF([test "x$with_$1" = xno], [$1=], [$1=$with_$1])
	AC_SUBST([$1])
	AM_CONDITIONAL([$2], [test "x$with_$1" != xno])
])
