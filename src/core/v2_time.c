/* The cached clock of one process (core, bytes part; every process).
 *
 * Invariants
 *  1. Nobody else calls clock_gettime on the packet path: v2_time_update()
 *     is one vDSO call for the monotonic and one for the wall clock a turn.
 *  2. The monotonic values of all processes of one machine agree, because
 *     they are the kernel's: rows in shared memory compare them.
 *  3. v2_now_s() is never 0, so that 0 can mean "not set" in shared rows. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_time.h"

#define V2_TIME_S   1000000000ull
#define V2_TIME_MS  1000000ull


static uint64_t  v2_time_ns;
static uint64_t  v2_time_fixed_ms;
static time_t    v2_time_wall;


void
v2_time_update(void)
{
    struct timespec  ts;

    if (v2_time_fixed_ms != 0) {
        v2_time_ns = v2_time_fixed_ms * V2_TIME_MS;

    } else {
        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        v2_time_ns = (uint64_t) ts.tv_sec * V2_TIME_S
                     + (uint64_t) ts.tv_nsec;
    }

    /* time(2) reads the same cached second as the coarse clock */
    v2_time_wall = time(NULL);
}


uint64_t
v2_now_ms(void)
{
    return v2_time_ns / V2_TIME_MS;
}


uint64_t
v2_now_ns(void)
{
    return v2_time_ns;
}


uint32_t
v2_now_s(void)
{
    uint32_t  s;

    s = (uint32_t) (v2_time_ns / V2_TIME_S);

    return s == 0 ? 1 : s;
}


time_t
v2_wall_s(void)
{
    return v2_time_wall;
}


void
v2_time_set(uint64_t ms)
{
    v2_time_fixed_ms = ms;
    v2_time_update();
}
