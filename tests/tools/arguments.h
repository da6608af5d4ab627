/* SPDX-License-Identifier: MIT */
/* What the tools are given on the command line. */
#ifndef MMPROXY_TOOLS_ARGUMENTS_H
#define MMPROXY_TOOLS_ARGUMENTS_H

#include "base/address.h"

/* What `option` was given, or one line about it and the end of the program. */
struct address endpoint_argument(const char *option, const char *text);
unsigned number_argument(const char *option, const char *text, unsigned least, unsigned most);

#endif
