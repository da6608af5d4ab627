# Each folder of tests has a fragment of its own.
include tests/unit/local.mk
include tests/fuzz/local.mk
include tests/plugins/local.mk
include tests/tools/local.mk
include tests/bench/local.mk
include tests/integration/local.mk
include tests/bpf/local.mk

EXTRA_DIST += \
	tests/analyze tests/analyze-exceptions \
	tests/checks/fronts tests/checks/links tests/checks/mends tests/checks/messages tests/checks/options \
	tests/checks/plugin-header tests/checks/settings tests/checks/version \
	tests/demo.py tests/lint tests/run-all tests/run-demo \
	tests/package/checks.py tests/package/chroots.py tests/package/lifecycle.py tests/package/packages.py \
	tests/package/mirror.py tests/package/quickstart.py tests/package/run tests/package/scene.py \
	tests/package/snapshot.py \
	tests/container/base_tree.py tests/container/engine.py tests/container/run \
	tests/rpm/macros tests/rpm/rpmlint.toml tests/rpm/run \
	tests/soak/churn tests/soak/run tests/soak/files.py tests/soak/loads.py tests/soak/long_run.py \
	tests/soak/hand_overs.py tests/soak/million.py tests/soak/offload tests/soak/soak.py \
	tests/tools/build tests/tools/install-packages \
	tests/tools/terminal-picture tests/tools/top-picture \
	tests/unit/cmocka-is-missing
