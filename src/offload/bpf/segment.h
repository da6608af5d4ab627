/* SPDX-License-Identifier: MIT */
/* Reading a TCP segment, of whose packet the rest is known. */
#ifndef MMPROXY_OFFLOAD_BPF_SEGMENT_H
#define MMPROXY_OFFLOAD_BPF_SEGMENT_H

#include <linux/tcp.h>

#include "packet.h"

/* The header in 32-bit words, of which the first five are no options. */
#define TCP_WORDS       15
#define TCP_WORDS_MIN   5
#define TCP_WORDS_PLAIN 8 /* with timestamps alone, as nearly every segment has them: */
#define PLAIN_TIMESTAMP 6
#define PLAIN_ECHO      7

/* Words with which options begin, as everybody sends them: two NOPs, kind, length. */
#define WORD_TIMESTAMP 0x0101080a
#define WORD_SACK      0x01010500 /* and the length */
#define WORD_NOPS      0x01010101

#define SACK_LENGTH     2 /* of no blocks */
#define SACK_EDGES_MAX  8
#define SACK_BLOCK_SIZE 8

struct segment {
	__u32 header;           /* how long it is, */
	__u32 payload;          /* and what is behind it, in bytes */
	__u32 words[TCP_WORDS]; /* the header as it is */
	__u32 sequence, acknowledgement;
	__u32 timestamp;
	/* A bit for each word that is a timestamp, its echo, the edge of a block, or not
	 * understood. */
	__u16 timestamps, echoes, edges, unknown;
	__u8 plain;    /* it has timestamps alone, where everybody puts them */
	__u8 fragment; /* more of it comes in other packets */
	__u8 syn, ack, fin, rst;
	__u8 for_socket;   /* it is for our own, */
	__u32 expected;    /* which expects this number next */
	__u32 window_most; /* bytes: it may offer no more when it goes on */
};

/* Does the list of options end in this word? Behind NOPs, or at once. */
INLINE int is_end(__u32 word)
{
	return word >> 24 == 0 || word >> 16 == 0x0100 || word >> 8 == 0x010100 ||
	       word == 0x01010100;
}

/*
 * Whatever does not stand at the beginning of a word, behind two NOPs, is not understood, nor is
 * what follows it.
 */
INLINE void read_options(struct segment *segment, __u32 words)
{
	__u32 skip = 0;

#pragma clang loop unroll(full)
	for (__u32 i = TCP_WORDS_MIN; i < TCP_WORDS; i++) {
		__u32 word = bpf_ntohl(segment->words[i]);
		__u32 size = (word & 0xff) - SACK_LENGTH, edges = size / 4;

		if (i >= words)
			break;
		if (skip > 0) {
			skip--;
		} else if (word == WORD_TIMESTAMP && i + 2 < TCP_WORDS) {
			segment->timestamps |= 1 << (i + 1);
			segment->echoes |= 1 << (i + 2);
			segment->timestamp = bpf_ntohl(segment->words[i + 1]);
			skip = 2;
		} else if ((word & ~0xffu) == WORD_SACK && size % SACK_BLOCK_SIZE == 0 &&
			   edges <= SACK_EDGES_MAX) {
			segment->edges |= ((1 << edges) - 1) << (i + 1);
			skip = edges;
		} else if (is_end(word)) {
			skip = TCP_WORDS;
		} else if (word != WORD_NOPS) {
			segment->unknown = (__u16)(0xffff << i);
			skip = TCP_WORDS;
		}
	}
	/* One of them goes on behind the header. */
	if (((segment->echoes | segment->edges) >> words) != 0) {
		segment->unknown = (__u16)(0xffff << TCP_WORDS_MIN);
		segment->timestamps = 0;
	}
}

/*
 * They are zero, but the verifier is not to know: it would follow each way through the options to
 * the end of the program, as it does with states that know different things.
 */
INLINE void forget_zero(const struct __sk_buff *skb, struct segment *segment)
{
	__u32 zero = skb->len >> 31;

	segment->timestamp = zero;
	segment->timestamps = segment->echoes = segment->edges = segment->unknown = zero;
}

/* The same afterwards, when each way has come to know something else of them. */
INLINE void forget_options(const struct __sk_buff *skb, struct segment *segment)
{
	__u16 zero = -(skb->len >> 31);

	segment->timestamps ^= zero;
	segment->echoes ^= zero;
	segment->edges ^= zero;
	segment->unknown ^= zero;
	segment->plain ^= zero;
}

/* Returns -1 for what is not plain. */
INLINE int read_plain(struct __sk_buff *skb, const struct packet *packet, struct segment *segment)
{
	const __u32 *words = bytes_at(skb, packet->transport, TCP_WORDS_PLAIN * 4);

	if (words == NULL || words[TCP_WORDS_MIN] != bpf_htonl(WORD_TIMESTAMP))
		return -1;
	__builtin_memcpy(segment->words, words, TCP_WORDS_PLAIN * 4);
	segment->timestamp = bpf_ntohl(words[PLAIN_TIMESTAMP]);
	segment->timestamps = 1 << PLAIN_TIMESTAMP;
	segment->echoes = 1 << PLAIN_ECHO;
	segment->plain = 1;
	return 0;
}

INLINE int read_any(struct __sk_buff *skb, const struct packet *packet, struct segment *segment,
		    __u32 length)
{
	if (bpf_skb_load_bytes(skb, packet->transport, segment->words, length) != 0)
		return -1;
	forget_zero(skb, segment);
	read_options(segment, length / 4);
	return 0;
}

/* `segment` is all zero. Returns -1 for what is no whole header. */
INLINE int read_segment(struct __sk_buff *skb, const struct packet *packet, struct segment *segment)
{
	const struct tcphdr *tcp = bytes_at(skb, packet->transport, sizeof(*tcp));
	__u32 length;

	if (tcp == NULL)
		return -1;
	segment->syn = tcp->syn;
	segment->ack = tcp->ack;
	segment->fin = tcp->fin;
	segment->rst = tcp->rst;
	length = tcp->doff * 4;
	asm volatile("" : "+r"(length));
	length &= 63;
	if (length < sizeof(*tcp) || length > sizeof(segment->words) || length > packet->payload)
		return -1;
	if ((length != TCP_WORDS_PLAIN * 4 || read_plain(skb, packet, segment) != 0) &&
	    read_any(skb, packet, segment, length) != 0)
		return -1;
	segment->payload = packet->payload - length;
	segment->fragment = packet->fragment;
	segment->sequence = bpf_ntohl(segment->words[1]);
	segment->acknowledgement = bpf_ntohl(segment->words[2]);
	forget_options(skb, segment);
	/* Read once more: from what it was compared with above the verifier knows too much. */
	segment->header = (bpf_ntohl(segment->words[3]) >> 28) * 4;
	return 0;
}

#endif
