# MMPROXY_BPF: what building the kernel's programs takes: libbpf, bpftool for the skeleton, and a clang
# that makes BPF; and libmnl, which have_libmnl tells of, for what libbpf does not ask the kernel. Sets have_bpf, HAVE_BPF, LIBBPF_*, BPF_CLANG, BPFTOOL and BPF_CFLAGS.
AC_DEFUN([MMPROXY_BPF], [
	AC_ARG_VAR([BPF_CLANG], [the clang that compiles for BPF])
	AC_ARG_VAR([BPFTOOL], [bpftool(8), which makes a header of the kernel's programs])
	have_bpf=no
	AS_IF([test "x$with_bpf" != xno], [
		mmproxy_bpf_missing=
		PKG_CHECK_MODULES([LIBBPF], [libbpf >= 1.0], [],
			[AS_VAR_APPEND([mmproxy_bpf_missing], [" libbpf"])])
		AS_IF([test "x$have_libmnl" != xyes], [AS_VAR_APPEND([mmproxy_bpf_missing], [" libmnl"])])
		AC_PATH_PROG([BPFTOOL], [bpftool], [], [$PATH:/usr/sbin:/sbin])
		AS_IF([test "x$BPFTOOL" = x], [AS_VAR_APPEND([mmproxy_bpf_missing], [" bpftool"])])
		AC_PATH_PROGS([BPF_CLANG], [clang clang-19 clang-16 clang-15 clang-14])
		AS_IF([test "x$BPF_CLANG" = x], [AS_VAR_APPEND([mmproxy_bpf_missing], [" clang"])],
			[MMPROXY_BPF_COMPILES([], [AS_VAR_APPEND([mmproxy_bpf_missing], [" a-clang-for-BPF"])])])
		AS_IF([test "x$mmproxy_bpf_missing" = x], [have_bpf=yes
				AC_DEFINE([HAVE_BPF], [1], [sessions can be handed to the kernel])],
			[test "x$with_bpf" = xyes],
				[AC_MSG_ERROR([--with-bpf was given, and this was not found:$mmproxy_bpf_missing])])
	])
	AM_CONDITIONAL([HAVE_BPF], [test "x$have_bpf" = xyes])
])

# MMPROXY_BPF_COMPILES(IF-TRUE, IF-FALSE): does it compile what the programs include? The headers of
# the architecture, <asm/types.h>, stand in a folder that only the other compiler knows, on Debian.
AC_DEFUN([MMPROXY_BPF_COMPILES], [
	BPF_CFLAGS="-target bpf -mcpu=v2 -O2 -g"
	mmproxy_multiarch=`$CC -print-multiarch 2>/dev/null`
	AS_IF([test "x$mmproxy_multiarch" != x],
		[AS_VAR_APPEND([BPF_CFLAGS], [" -idirafter /usr/include/$mmproxy_multiarch"])])
	AC_SUBST([BPF_CFLAGS])
	AC_MSG_CHECKING([whether $BPF_CLANG compiles for BPF])
	AS_ECHO(["#include <linux/bpf.h>"]) >conftest.bpf.c
	AS_ECHO(["#include <bpf/bpf_helpers.h>"]) >>conftest.bpf.c
	AS_IF([$BPF_CLANG $BPF_CFLAGS $LIBBPF_CFLAGS -c conftest.bpf.c -o conftest.bpf.o 2>&AS_MESSAGE_LOG_FD],
		[AC_MSG_RESULT([yes])
		 $1],
		[AC_MSG_RESULT([no])
		 $2])
	rm -f conftest.bpf.c conftest.bpf.o
])
