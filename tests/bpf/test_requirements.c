/* SPDX-License-Identifier: MIT */
/* What the programs ask of a kernel is there in Linux 5.10, and leaves its verifier room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <tcp.skel.h>

#include <cmocka.h>

#include "kernel.h"

/* Of a million that it looks at before it gives up. It differs from version to version. */
#define VERIFIED_MAX 100000

/* Those that 5.10 has for traffic control, and the version that brought them. */
static const struct {
	enum bpf_func_id id;
	const char *since;
} known[] = {
	{BPF_FUNC_map_lookup_elem, "3.18"},
	{BPF_FUNC_map_delete_elem, "3.18"},
	{BPF_FUNC_ktime_get_ns, "4.1"},
	{BPF_FUNC_skb_store_bytes, "4.1"},
	{BPF_FUNC_l3_csum_replace, "4.1"},
	{BPF_FUNC_l4_csum_replace, "4.1"},
	{BPF_FUNC_redirect, "4.2"},
	{BPF_FUNC_tail_call, "4.2"},
	{BPF_FUNC_skb_load_bytes, "4.5"},
	{BPF_FUNC_skb_change_tail, "4.9"},
	{BPF_FUNC_sk_lookup_udp, "4.20"},
	{BPF_FUNC_sk_release, "4.20"},
	{BPF_FUNC_sk_assign, "5.7"},
	{BPF_FUNC_csum_diff, "4.6"},
	{BPF_FUNC_skb_pull_data, "4.9"},
	{BPF_FUNC_spin_lock, "5.1"},
	{BPF_FUNC_spin_unlock, "5.1"},
	{BPF_FUNC_ringbuf_output, "5.8"},
	{BPF_FUNC_redirect_neigh, "5.10"},
	/* Where offload_coarse_clock says that it is there. */
	{BPF_FUNC_ktime_get_coarse_ns, "5.11"},
};

static bool is_known(int id)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if ((int)known[i].id == id)
			return true;
	return false;
}

static bool is_atomic_fetch(const struct bpf_insn *instruction)
{
	return BPF_CLASS(instruction->code) == BPF_STX && (instruction->code & 0xe0) == BPF_XADD &&
	       instruction->imm != BPF_ADD;
}

static void each_helper_is_one_of_linux_5_10(void **state)
{
	struct bpf_program *program;

	(void)state;
	bpf_object__for_each_program(program, kernel_skeleton()->obj)
	{
		const struct bpf_insn *instructions = bpf_program__insns(program);

		for (size_t i = 0; i < bpf_program__insn_cnt(program); i++) {
			const struct bpf_insn *one = &instructions[i];

			if (one->code == (BPF_JMP | BPF_CALL) && one->src_reg == 0 &&
			    !is_known(one->imm))
				fail_msg("%s calls helper %d", bpf_program__name(program),
					 one->imm);
			/* 32-bit jumps came with -mcpu=v3, atomics that return something with 5.12.
			 */
			if (BPF_CLASS(one->code) == BPF_JMP32 || is_atomic_fetch(one))
				fail_msg("%s, instruction %zu: %02x", bpf_program__name(program), i,
					 one->code);
		}
	}
}

static void each_map_is_of_a_type_of_linux_5_10(void **state)
{
	struct bpf_map *map;

	(void)state;
	bpf_object__for_each_map(map, kernel_skeleton()->obj)
	{
		enum bpf_map_type type = bpf_map__type(map);

		assert_true(type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_ARRAY ||
			    type == BPF_MAP_TYPE_RINGBUF || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
			    type == BPF_MAP_TYPE_PROG_ARRAY);
	}
}

static void a_kernel_without_the_coarse_clock_takes_them(void **state)
{
	struct tcp_programs *made = tcp_programs__open();

	(void)state;
	if (made == NULL) {
		fail();
		return;
	}
	assert_int_equal(made->rodata->offload_coarse_clock, 0);
	assert_int_equal(tcp_programs__load(made), 0);
	tcp_programs__destroy(made);
}

static void the_verifier_has_room_left(void **state)
{
	struct bpf_program *program;

	(void)state;
	bpf_object__for_each_program(program, kernel_skeleton()->obj)
	{
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size), 0);
		/* Told since 5.16. */
		printf("%-18s %6u instructions, %7u verified\n", bpf_program__name(program),
		       (unsigned)bpf_program__insn_cnt(program), info.verified_insns);
		assert_true(info.verified_insns < VERIFIED_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_helper_is_one_of_linux_5_10),
		cmocka_unit_test(each_map_is_of_a_type_of_linux_5_10),
		cmocka_unit_test(a_kernel_without_the_coarse_clock_takes_them),
		cmocka_unit_test(the_verifier_has_room_left),
	};

	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
