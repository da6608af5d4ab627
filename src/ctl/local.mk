# mmproxyctl: the other side of the control socket. Answers are JSON, so there is none without jansson.
if HAVE_JANSSON
noinst_LIBRARIES += libctl.a
libctl_a_SOURCES = \
	src/ctl/answer.c src/ctl/answer.h \
	src/ctl/clock.h \
	src/ctl/command.c src/ctl/command.h \
	src/ctl/connection.c src/ctl/connection.h \
	src/ctl/decode/decode.c src/ctl/decode/decode.h \
	src/ctl/decode/flows.c src/ctl/decode/flows.h \
	src/ctl/decode/header.c src/ctl/decode/header.h \
	src/ctl/decode/input.c src/ctl/decode/input.h \
	src/ctl/decode/pcap.h \
	src/ctl/decode/print.c src/ctl/decode/print.h \
	src/ctl/decode/stream.c src/ctl/decode/stream.h \
	src/ctl/decode/text.c src/ctl/decode/text.h \
	src/ctl/decode/tlv.c src/ctl/decode/tlv.h \
	src/ctl/decode/verdict.c src/ctl/decode/verdict.h \
	src/ctl/format.c src/ctl/format.h \
	src/ctl/lines.c src/ctl/lines.h \
	src/ctl/manage.c src/ctl/manage.h \
	src/ctl/memory.h \
	src/ctl/options.c src/ctl/options.h \
	src/ctl/routing.c src/ctl/routing.h \
	src/ctl/routing_items.c src/ctl/routing_items.h \
	src/ctl/show.h \
	src/ctl/show_counters.c src/ctl/show_listeners.c src/ctl/show_plugins.c \
	src/ctl/show_sessions.c src/ctl/show_status.c \
	src/ctl/table.c src/ctl/table.h \
	src/ctl/top.c src/ctl/top.h \
	src/ctl/top_sample.c src/ctl/top_sample.h \
	src/ctl/top_view.c src/ctl/top_view.h
if HAVE_LIBMNL
libctl_a_SOURCES += src/ctl/doctor.c src/ctl/doctor.h
ctl_doctor = libdoctor.a
else
libctl_a_SOURCES += src/ctl/doctor_absent.c src/ctl/doctor.h
ctl_doctor =
endif
if HAVE_BPF
libctl_a_SOURCES += src/ctl/offload.c src/ctl/offload.h src/ctl/offload_status.c src/ctl/offload_status.h
else
libctl_a_SOURCES += src/ctl/offload_absent.c src/ctl/offload.h
endif
libctl_a_CPPFLAGS = $(AM_CPPFLAGS) -DSYSCONFDIR='"$(sysconfdir)"'
libctl_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(NCURSES_CFLAGS) $(LIBPCAP_CFLAGS)
if HAVE_NCURSES
libctl_a_SOURCES += src/ctl/top_screen.c src/ctl/top_screen.h
endif
if HAVE_LIBPCAP
libctl_a_SOURCES += src/ctl/decode/pcap.c
else
libctl_a_SOURCES += src/ctl/decode/pcap_absent.c
endif

sbin_PROGRAMS += mmproxyctl
mmproxyctl_SOURCES = src/ctl/main.c
mmproxyctl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
mmproxyctl_LDADD = libctl.a $(ctl_doctor) libmmproxy.a libpure.a $(LIBCONFIG_LIBS) $(LIBCAP_LIBS) $(JANSSON_LIBS) \
	$(LIBSYSTEMD_LIBS) $(LIBMICROHTTPD_LIBS) $(LIBMNL_LIBS) $(LIBNFTABLES_LIBS) $(NCURSES_LIBS) $(LIBPCAP_LIBS) $(LIBBPF_LIBS) -lm
endif
