# The kernel datapath: programs that clang makes for the kernel, in a header that bpftool makes of them.

offload_bpf_headers = src/offload/layout.h src/offload/bpf/change.h src/offload/bpf/checksum.h \
	src/offload/bpf/clock.h src/offload/bpf/icmp.h \
	src/offload/bpf/packet.h src/offload/bpf/segment.h src/offload/bpf/send.h src/offload/bpf/session.h \
	src/offload/udp_layout.h src/offload/bpf/datagram.h src/offload/bpf/rewrite.h
EXTRA_DIST += $(offload_bpf_headers) src/offload/bpf/ingress.bpf.c src/offload/bpf/tcp.bpf.c \
	src/offload/bpf/udp.bpf.c

libmmproxy_a_SOURCES += \
	src/offload/datapath.h src/offload/kernel_datapath.h src/offload/layout.h \
	src/offload/loopback_needs.h src/daemon/offload.h \
	src/offload/heritage.c src/offload/heritage.h \
	src/offload/tuple.c src/offload/tuple.h \
	src/offload/udp_datapath.h src/offload/udp_layout.h

if HAVE_BPF
libmmproxy_a_SOURCES += \
	src/offload/kernel_datapath.c \
	src/offload/kernel_udp_datapath.c src/offload/kernel_udp_datapath.h \
	src/offload/bpf_folder.c src/offload/bpf_folder.h \
	src/offload/conntrack.c src/offload/conntrack.h \
	src/offload/filters.c src/offload/filters.h \
	src/offload/interfaces.c src/offload/interfaces.h \
	src/offload/layouts.c src/offload/layouts.h \
	src/offload/lock.c src/offload/lock.h \
	src/offload/loopback.c src/offload/loopback.h \
	src/offload/programs.c src/offload/programs.h \
	src/offload/remembered.c src/offload/remembered.h \
	src/offload/revive.c src/offload/revive.h \
	src/offload/setup.c src/offload/setup.h src/offload/setup_clear.c \
	src/offload/way.c src/offload/way.h \
	src/daemon/offload.c
nodist_libmmproxy_a_SOURCES = src/offload/tcp.skel.h
# What bpftool writes is not held to our warnings.
libmmproxy_a_CPPFLAGS += -isystem $(top_builddir)/src/offload

offload_bpf_objects = src/offload/bpf/ingress.bpf.o src/offload/bpf/tcp.bpf.o src/offload/bpf/udp.bpf.o
$(offload_bpf_objects): $(offload_bpf_headers)
offload_bpf_compile = $(MKDIR_P) $(@D) && $(BPF_CLANG) $(BPF_CFLAGS) $(LIBBPF_CFLAGS) -Wall -Wextra -Werror \
	-I$(top_srcdir)/src -o $@ -c
src/offload/bpf/ingress.bpf.o: src/offload/bpf/ingress.bpf.c
	$(AM_V_GEN)$(offload_bpf_compile) $(srcdir)/src/offload/bpf/ingress.bpf.c
src/offload/bpf/tcp.bpf.o: src/offload/bpf/tcp.bpf.c
	$(AM_V_GEN)$(offload_bpf_compile) $(srcdir)/src/offload/bpf/tcp.bpf.c
src/offload/bpf/udp.bpf.o: src/offload/bpf/udp.bpf.c
	$(AM_V_GEN)$(offload_bpf_compile) $(srcdir)/src/offload/bpf/udp.bpf.c
src/offload/bpf/all.o: $(offload_bpf_objects)
	$(AM_V_GEN)$(BPFTOOL) gen object $@ $(offload_bpf_objects)
src/offload/tcp.skel.h: src/offload/bpf/all.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton src/offload/bpf/all.o name tcp_programs >$@.new && mv $@.new $@
src/offload/libmmproxy_a-programs.$(OBJEXT): src/offload/tcp.skel.h
CLEANFILES += $(offload_bpf_objects) src/offload/bpf/all.o src/offload/tcp.skel.h
else
libmmproxy_a_SOURCES += src/offload/kernel_datapath_absent.c src/daemon/offload_absent.c
endif
