/* SPDX-License-Identifier: MIT */
/* What `top` shows of two samples: lines, for a screen of a certain height or for none. Pure. */
#ifndef MMPROXY_CTL_TOP_VIEW_H
#define MMPROXY_CTL_TOP_VIEW_H

#include "ctl/lines.h"
#include "ctl/top_sample.h"

/*
 * Appends the lines. `before` is NULL for the first sample: every rate is "-". With `height` 0 the
 * listeners and causes are all there and the clients up to 20; else there are at most so many
 * lines.
 */
void top_view(const struct top_sample *before, const struct top_sample *after, size_t height,
	      struct lines *lines);

/* How `room` rows are divided among three tables that want so many; each gets what it can use. */
void top_view_divide(size_t room, const size_t wanted[static 3], size_t granted[static 3]);

#endif
