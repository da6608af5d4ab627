# MMPROXY_APPEND_CFLAG(VARIABLE, FLAG): appends a compiler flag that the compiler takes.
AC_DEFUN([MMPROXY_APPEND_CFLAG], [
	AC_MSG_CHECKING([whether $CC takes $2])
	mmproxy_saved_cflags=$CFLAGS
	CFLAGS="$CFLAGS -Werror $2"
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
		[AC_MSG_RESULT([yes]); AS_VAR_APPEND([$1], [" $2"])],
		[AC_MSG_RESULT([no])])
	CFLAGS=$mmproxy_saved_cflags
])

# MMPROXY_APPEND_LDFLAG(VARIABLE, FLAG): the same for the linker.
AC_DEFUN([MMPROXY_APPEND_LDFLAG], [
	AC_MSG_CHECKING([whether the linker takes $2])
	mmproxy_saved_ldflags=$LDFLAGS
	LDFLAGS="$LDFLAGS $2"
	AC_LINK_IFELSE([AC_LANG_PROGRAM()],
		[AC_MSG_RESULT([yes]); AS_VAR_APPEND([$1], [" $2"])],
		[AC_MSG_RESULT([no])])
	LDFLAGS=$mmproxy_saved_ldflags
])
