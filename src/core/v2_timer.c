/* Timers of one event loop: a binary heap of pointers to timers that are
 * embedded in their objects (core, engine part; one heap per process).
 *
 * Invariants
 *  1. timer->slot is the timer's place in the heap + 1, or 0: so a delete
 *     needs no search and a second delete does nothing.
 *  2. A timer is out of the heap before its handler runs: the handler may
 *     re-arm it, free its object, or delete any other timer.
 *  3. The heap grows by doubling and never shrinks: no malloc once the
 *     worker has seen its largest number of timers. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_log.h"
#include "v2_timer.h"

#define V2_TIMER_FIRST      256     /* places at the first use */
#define V2_TIMER_BATCH      1000    /* handlers a call of v2_timer_expire */


static v2_int_t v2_timer_grow(void);
static void v2_timer_up(v2_timer_t *t, uint32_t i);
static void v2_timer_down(v2_timer_t *t, uint32_t i);


static v2_timer_t  **v2_timer_heap;
static uint32_t      v2_timer_n;
static uint32_t      v2_timer_room;


v2_int_t
v2_timer_add(v2_timer_t *t, uint64_t at_ms)
{
    uint32_t  i;

    v2_assert(t->fire != NULL);

    if (t->slot != 0) {
        i = t->slot - 1;
        v2_assert(i < v2_timer_n && v2_timer_heap[i] == t);

    } else {
        if (v2_timer_n == v2_timer_room && v2_timer_grow() != V2_OK) {
            return V2_ERROR;
        }

        i = v2_timer_n++;
        t->at_ms = UINT64_MAX;
    }

    if (at_ms < t->at_ms) {
        t->at_ms = at_ms;
        v2_timer_up(t, i);

    } else {
        t->at_ms = at_ms;
        v2_timer_down(t, i);
    }

    return V2_OK;
}


void
v2_timer_del(v2_timer_t *t)
{
    uint32_t     i;
    v2_timer_t  *last;

    if (t->slot == 0) {
        return;
    }

    i = t->slot - 1;
    v2_assert(i < v2_timer_n && v2_timer_heap[i] == t);

    t->slot = 0;
    last = v2_timer_heap[--v2_timer_n];

    if (last == t) {
        return;
    }

    if (last->at_ms < t->at_ms) {
        v2_timer_up(last, i);

    } else {
        v2_timer_down(last, i);
    }
}


uint64_t
v2_timer_next(uint64_t now_ms, uint64_t cap)
{
    uint64_t  at_ms;

    if (v2_timer_n == 0) {
        return cap;
    }

    at_ms = v2_timer_heap[0]->at_ms;

    if (at_ms <= now_ms) {
        return 0;
    }

    return v2_min(at_ms - now_ms, cap);
}


/* The bound keeps a handler that re-arms itself in the past, or a wave of
 * a hundred thousand idle ends, from stopping the loop. */

void
v2_timer_expire(uint64_t now_ms)
{
    unsigned     n;
    v2_timer_t  *t;

    for (n = 0; n < V2_TIMER_BATCH && v2_timer_n != 0; n++) {
        t = v2_timer_heap[0];

        if (t->at_ms > now_ms) {
            break;
        }

        v2_timer_del(t);
        t->fire(t);
    }
}


static v2_int_t
v2_timer_grow(void)
{
    uint32_t      room;
    v2_timer_t  **heap;

    room = v2_timer_room == 0 ? V2_TIMER_FIRST : v2_timer_room * 2;

    heap = realloc(v2_timer_heap, room * sizeof(v2_timer_t *));
    if (heap == NULL) {
        v2_log(V2_LOG_CRIT, NULL, errno, "no memory for %" PRIu32 " timers",
               room);
        return V2_ERROR;
    }

    v2_timer_heap = heap;
    v2_timer_room = room;

    return V2_OK;
}


/* Puts `t` at place i or nearer to the root. */

static void
v2_timer_up(v2_timer_t *t, uint32_t i)
{
    uint32_t     parent;
    v2_timer_t  *p;

    while (i != 0) {
        parent = (i - 1) / 2;
        p = v2_timer_heap[parent];

        if (p->at_ms <= t->at_ms) {
            break;
        }

        v2_timer_heap[i] = p;
        p->slot = i + 1;
        i = parent;
    }

    v2_timer_heap[i] = t;
    t->slot = i + 1;
}


/* Puts `t` at place i or farther from the root. */

static void
v2_timer_down(v2_timer_t *t, uint32_t i)
{
    uint32_t     child;
    v2_timer_t  *c;

    for ( ;; ) {
        child = 2 * i + 1;

        if (child >= v2_timer_n) {
            break;
        }

        if (child + 1 < v2_timer_n
            && v2_timer_heap[child + 1]->at_ms < v2_timer_heap[child]->at_ms)
        {
            child++;
        }

        c = v2_timer_heap[child];

        if (c->at_ms >= t->at_ms) {
            break;
        }

        v2_timer_heap[i] = c;
        c->slot = i + 1;
        i = child;
    }

    v2_timer_heap[i] = t;
    t->slot = i + 1;
}
