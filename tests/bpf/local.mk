# The kernel's programs, fed with packets by BPF_PROG_TEST_RUN. Needs root, and bpf(2); tells by which
# reason it is skipped where there is none.
bpf_tests = \
	tests/bpf/test_icmp \
	tests/bpf/test_requirements \
	tests/bpf/test_tcp_arrival \
	tests/bpf/test_tcp_change \
	tests/bpf/test_tcp_delivery \
	tests/bpf/test_tcp_end \
	tests/bpf/test_tcp_noted \
	tests/bpf/test_tcp_options \
	tests/bpf/test_tcp_random \
	tests/bpf/test_tcp_resending

EXTRA_DIST += tests/bpf/run
bpf_fixture = \
	tests/bpf/kernel.c tests/bpf/kernel.h \
	tests/bpf/packets.c tests/bpf/packets.h \
	tests/bpf/sessions.c tests/bpf/sessions.h

.PHONY: check-bpf
if HAVE_BPF
if HAVE_CMOCKA
check_PROGRAMS += $(bpf_tests) tests/bpf/measure
check_LIBRARIES += tests/bpf/libfixture.a

bpf_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/bpf -isystem $(top_builddir)/src/offload
bpf_cflags = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(LIBBPF_CFLAGS)
bpf_ldadd = tests/bpf/libfixture.a $(LIBBPF_LIBS) $(CMOCKA_LIBS)

tests_bpf_libfixture_a_SOURCES = $(bpf_fixture)
tests_bpf_libfixture_a_CPPFLAGS = $(bpf_cppflags)
tests_bpf_libfixture_a_CFLAGS = $(bpf_cflags)

tests_bpf_measure_SOURCES = tests/bpf/measure.c
tests_bpf_measure_CPPFLAGS = $(bpf_cppflags)
tests_bpf_measure_CFLAGS = $(bpf_cflags)
tests_bpf_measure_LDADD = $(bpf_ldadd)
tests_bpf_test_icmp_SOURCES = tests/bpf/test_icmp.c
tests_bpf_test_icmp_CPPFLAGS = $(bpf_cppflags)
tests_bpf_test_icmp_CFLAGS = $(bpf_cflags)
tests_bpf_test_icmp_LDADD = $(bpf_ldadd)
tests_bpf_test_requirements_SOURCES = tests/bpf/test_requirements.c
tests_bpf_test_requirements_CPPFLAGS = $(bpf_cppflags)
tests_bpf_test_requirements_CFLAGS = $(bpf_cflags)
tests_bpf_test_requirements_LDADD = $(bpf_ldadd)
tests_bpf_test_tcp_arrival_SOURCES = tests/bpf/test_tcp_arrival.c
tests_bpf_test_tcp_arrival_CPPFLAGS = $(bpf_cppflags)
tests_bpf_test_tcp_arrival_CFLAGS = $(bpf_cflags)
tests_bpf_test_tcp_arrival_LDADD = $(bpf_ldadd)
tests_bpf_test_tcp_change_SOURCES = tests/bpf/test_tcp_change.c
tests_bpf_test_tcp_change_CPPFLAGS = $(bpf_cppflags)
tests_bpf_test_tcp_change_CFLAGS = $(bpf_cflags)
tests_bpf_test_tcp_change_LDADD = $(bpf_ldadd)
tests_bpf_test_tcp_delivery_SOURCES = tests/bpf/test_tcp_delivery.c
tests_bpf_test_tcp_delivery_CPPFLAGS = $(bpf_cppflags)
tests_bpf_test_tcp_delivery_CFLAGS = $(bpf_cflags)
tests_bpf_test_tcp_delivery_LDADD = $(bpf_ldadd)
tests_bpf_test_tcp_end_SOURCES = tests/bpf/test_tcp_end.c
tests_bpf_test_tcp_end_CPPFLAGS = $(bpf_cppflags)
tests_bpf_test_tcp_end_CFLAGS = $(bpf_cflags)
tests_bpf_test_tcp_end_LDADD = $(bpf_ldadd)
tests_bpf_test_tcp_noted_SOURCES = tests/bpf/test_tcp_noted.c
tests_bpf_test_tcp_noted_CPPFLAGS = $(bpf_cppflags)
tests_bpf_test_tcp_noted_CFLAGS = $(bpf_cflags)
tests_bpf_test_tcp_noted_LDADD = $(bpf_ldadd)
tests_bpf_test_tcp_options_SOURCES = tests/bpf/test_tcp_options.c
tests_bpf_test_tcp_options_CPPFLAGS = $(bpf_cppflags)
tests_bpf_test_tcp_options_CFLAGS = $(bpf_cflags)
tests_bpf_test_tcp_options_LDADD = $(bpf_ldadd)
tests_bpf_test_tcp_random_SOURCES = tests/bpf/test_tcp_random.c
tests_bpf_test_tcp_random_CPPFLAGS = $(bpf_cppflags)
tests_bpf_test_tcp_random_CFLAGS = $(bpf_cflags)
tests_bpf_test_tcp_random_LDADD = $(bpf_ldadd)
tests_bpf_test_tcp_resending_SOURCES = tests/bpf/test_tcp_resending.c
tests_bpf_test_tcp_resending_CPPFLAGS = $(bpf_cppflags)
tests_bpf_test_tcp_resending_CFLAGS = $(bpf_cflags)
tests_bpf_test_tcp_resending_LDADD = $(bpf_ldadd)

# They have the programs in them.
tests/bpf/libfixture_a-kernel.$(OBJEXT) tests/bpf/measure-measure.$(OBJEXT) \
tests/bpf/test_requirements-test_requirements.$(OBJEXT) \
tests/bpf/test_tcp_delivery-test_tcp_delivery.$(OBJEXT): src/offload/tcp.skel.h

check-bpf: $(bpf_tests)
	$(top_srcdir)/tests/bpf/run $(bpf_tests)
else
check-bpf:
	@echo "check-bpf: skipped: cmocka was not found when this was configured"
endif
else
check-bpf:
	@echo "check-bpf: skipped: this was configured without BPF"
endif
