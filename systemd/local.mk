# Units, the user, the folders. Made by make rather than by configure, so that they have the folders
# that were given to make.

edit_systemd = sed \
	-e 's|@sbindir[@]|$(sbindir)|' \
	-e 's|@sysconfdir[@]|$(sysconfdir)|' \
	-e 's|^@reload[@]$$|ExecReload=$(unit_reload)|' $(edit_notices)
edit_unit = $(edit_systemd) \
	-e 's|@unit[@]|mmproxy.service|' \
	-e 's|@instance[@]||' \
	-e 's|@config[@]|$(sysconfdir)/mmproxy/mmproxy.conf|' \
	-e 's|@runtime[@]|mmproxy|' \
	-e 's|@logs[@]|mmproxy|'
edit_offload_unit = $(edit_systemd) \
	-e 's|@unit[@]|mmproxy-offload.service|' \
	-e 's|@service[@]|mmproxy.service|' \
	-e 's|@instance[@]||' \
	-e 's|@config[@]|$(sysconfdir)/mmproxy/mmproxy.conf|'
edit_offload_template = $(edit_systemd) \
	-e 's|@unit[@]|mmproxy-offload@NAME.service|' \
	-e 's|@service[@]|mmproxy@%i.service|' \
	-e 's|@instance[@]| (%i)|' \
	-e 's|@config[@]|$(sysconfdir)/mmproxy/%i.conf|'
# Its folder is not /run/mmproxy/%i: the end of mmproxy.service takes all of /run/mmproxy away.
edit_template = $(edit_systemd) \
	-e 's|@unit[@]|mmproxy@NAME.service|' \
	-e 's|@instance[@]| (%i)|' \
	-e 's|@config[@]|$(sysconfdir)/mmproxy/%i.conf|' \
	-e 's|@runtime[@]|mmproxy-%i|' \
	-e 's|@logs[@]|mmproxy/%i|'

# Without libsystemd nobody says that it is ready, or that the workers are alive.
if !HAVE_LIBSYSTEMD
edit_notices = \
	-e 's|^Type=notify$$|Type=exec|' \
	-e '/^NotifyAccess=/d' \
	-e '/^. Fed as long/,/^WatchdogSec=/d'
endif

# Of the two the first waits, and says what is wrong with the new configuration.
if HAVE_JANSSON
unit_reload = $(sbindir)/mmproxyctl reload
else
unit_reload = /bin/kill -HUP $$MAINPID
endif

systemd/mmproxy.service: systemd/mmproxy.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(edit_unit) $(srcdir)/systemd/mmproxy.service.in >$@
systemd/mmproxy@.service: systemd/mmproxy.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(edit_template) $(srcdir)/systemd/mmproxy.service.in >$@
systemd/mmproxy-offload.service: systemd/mmproxy-offload.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(edit_offload_unit) $(srcdir)/systemd/mmproxy-offload.service.in >$@
systemd/mmproxy-offload@.service: systemd/mmproxy-offload.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(edit_offload_template) $(srcdir)/systemd/mmproxy-offload.service.in >$@
systemd/tmpfiles.d/mmproxy.conf: systemd/tmpfiles.d/mmproxy.conf.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(edit_systemd) $(srcdir)/$@.in >$@

made_for_systemd = \
	systemd/mmproxy.service \
	systemd/mmproxy@.service \
	systemd/mmproxy-offload.service \
	systemd/mmproxy-offload@.service \
	systemd/tmpfiles.d/mmproxy.conf

EXTRA_DIST += \
	systemd/mmproxy.service.in \
	systemd/mmproxy-offload.service.in \
	systemd/offload.d/offload.conf \
	systemd/tmpfiles.d/mmproxy.conf.in
CLEANFILES += $(made_for_systemd)

dist_systemdsystemunit_DATA =
nodist_systemdsystemunit_DATA =
dist_sysusers_DATA =
nodist_tmpfiles_DATA =

if SYSTEMD_UNITS
dist_systemdsystemunit_DATA += \
	systemd/mmproxy.socket \
	systemd/mmproxy@.socket
nodist_systemdsystemunit_DATA += \
	systemd/mmproxy.service \
	systemd/mmproxy@.service
endif
# Without BPF there is nothing to load, and without jansson nothing to load it with.
servicedropindir = $(systemdsystemunitdir)/mmproxy.service.d
instancedropindir = $(systemdsystemunitdir)/mmproxy@.service.d
nodist_servicedropin_DATA =
nodist_instancedropin_DATA =
if SYSTEMD_UNITS
if HAVE_BPF
if HAVE_JANSSON
nodist_systemdsystemunit_DATA += \
	systemd/mmproxy-offload.service \
	systemd/mmproxy-offload@.service
nodist_servicedropin_DATA += systemd/offload.d/offload.conf
nodist_instancedropin_DATA += systemd/offload.d/offload.conf
endif
endif
endif
if SYSUSERS
dist_sysusers_DATA += systemd/sysusers.d/mmproxy.conf
endif
if TMPFILES
nodist_tmpfiles_DATA += systemd/tmpfiles.d/mmproxy.conf
endif
