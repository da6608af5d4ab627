/* SPDX-License-Identifier: MIT */
/*
 * WITH_SANITIZER: this is a build with AddressSanitizer or ThreadSanitizer, which do in the process
 * what it would not do by itself.
 */
#ifndef MMPROXY_BASE_SANITIZER_H
#define MMPROXY_BASE_SANITIZER_H

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WITH_SANITIZER
#endif

#endif
