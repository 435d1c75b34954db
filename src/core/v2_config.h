/* The first include of every source file: feature macros, what configure
 * found, and the system headers that all rooms may use. */

#ifndef V2_CONFIG_H
#define V2_CONFIG_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "v2_auto_config.h"     /* objs/: V2_PREFIX, V2_HAVE_..., V2_DEBUG */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>
#include <time.h>

#endif
