/* Timers of one loop, embedded in their object: a binary heap ordered by
 * deadline. A handler may re-arm itself or delete any other timer. */

#ifndef V2_TIMER_H
#define V2_TIMER_H

struct v2_timer_s {
    uint64_t   at_ms;                   /* valid while armed */
    void     (*fire)(v2_timer_t *t);
    uint32_t   slot;                    /* place in the heap + 1; 0: idle */
};

#define v2_timer_armed(t)   ((t)->slot != 0)

/* Moves the deadline when armed already. V2_ERROR: no memory (logged). */
v2_int_t v2_timer_add(v2_timer_t *t, uint64_t at_ms);
void     v2_timer_del(v2_timer_t *t);           /* idempotent */

/* Milliseconds until the next deadline, at most `cap`. */
uint64_t v2_timer_next(uint64_t now_ms, uint64_t cap);

/* Fires what is due, at most 1000 a call. */
void     v2_timer_expire(uint64_t now_ms);

#endif
