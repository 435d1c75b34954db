/* The resolver's cache: names, what is known about each, and who waits for
 * it. Memory and rules only: it asks nothing, and knows no socket and no
 * c-ares. One per resolver, used by v2_resolve.c alone.
 *
 * A name has two halves, A and AAAA, each asked and cached by itself:
 *
 *   EMPTY -> ASKING -> GOOD | NONE | FAILED -> (expired) ASKING
 *
 * Invariants
 *  1. A name that is asked for, waited at, ready or busy is never evicted, so
 *     c-ares may hold the address of a half.
 *  2. At most V2_NAMES_MAX names; the longest unused goes first. */

#ifndef V2_NAMES_H
#define V2_NAMES_H

#include "v2_queue.h"
#include "v2_resolve.h"
#include "v2_timer.h"

#define V2_NAMES_MAX        4096
#define V2_NAMES_BUCKETS    1024        /* a power of 2 */
#define V2_NAMES_KINDS      4           /* of v2_family_e */
#define V2_NAMES_WAIT_MS    50          /* RFC 8305 section 3 */

enum { V2_HALF_EMPTY, V2_HALF_ASKING, V2_HALF_GOOD, V2_HALF_NONE,
       V2_HALF_FAILED };

enum { V2_HALF_A, V2_HALF_AAAA };

typedef struct v2_names_s  v2_names_t;
typedef struct v2_name_s   v2_name_t;

typedef struct {
    v2_name_t    *name;
    void         *chan;                 /* while ASKING: who was asked */
    uint64_t      until_ms;             /* GOOD, NONE, FAILED: valid so long */
    const char   *why;
    uint8_t       state;
    uint8_t       six;                  /* AAAA */
    uint8_t       n;                    /* addresses */
} v2_half_t;

struct v2_name_s {
    v2_names_t   *names;
    v2_name_t    *next;                 /* of its bucket */
    v2_queue_t    lru;
    v2_queue_t    ready;
    v2_queue_t    waiters[V2_NAMES_KINDS];
    v2_timer_t    timer;                /* gives up on the slower half */
    uint64_t      first_ms;             /* when a half became good */
    v2_half_t     half[2];
    uint8_t       ip4[V2_RESOLVE_ADDRS][4];
    uint8_t       ip6[V2_RESOLVE_ADDRS][16];
    uint32_t      hash;
    unsigned      busy:1;
    char          text[];
};

struct v2_names_s {
    uint32_t      n;
    v2_queue_t    lru;                  /* the longest unused first */
    v2_queue_t    ready;                /* has news for who waits there */
    unsigned      six:1;                /* the host has a global IPv6 route */
    void        (*on_wait)(v2_timer_t *t);      /* of v2_name_t.timer */
    v2_name_t    *buckets[V2_NAMES_BUCKETS];
};

void        v2_names_init(v2_names_t *names, void (*on_wait)(v2_timer_t *t));
/* Frees all names; who still waits is forgotten, as after a cancel. */
void        v2_names_done(v2_names_t *names);

/* Lower case, one dot at the end taken off, host name characters only, no
 * empty label. text holds V2_NAME_MAX + 1 bytes. V2_OK or V2_ERROR. */
v2_int_t    v2_names_text(const char *name, char *text, size_t *len);

/* The entry of a name, made if it is not there. NULL: no memory, or all
 * entries are in use. */
v2_name_t  *v2_names_get(v2_names_t *names, const char *text, size_t len);

/* A half changed: the entry is settled by the next turn over `ready`. */
void        v2_names_ready(v2_name_t *e);

/* Can an asker for this family be answered now? */
int         v2_names_known(const v2_name_t *e, v2_family_e family);
/* Fills q with what is known; n 0: why is set. */
void        v2_names_fill(const v2_name_t *e, v2_resolve_req_t *q,
    v2_family_e family);
/* Fills q from any list: chosen by family, alternating, the family that this
 * host can reach first. */
void        v2_names_pick(const v2_names_t *names, v2_resolve_req_t *q,
    const v2_addr_t *addrs, uint32_t n, v2_family_e family);

void        v2_names_wait(v2_name_t *e, v2_resolve_req_t *q,
    v2_family_e family);
void        v2_names_leave(v2_resolve_req_t *q);        /* idempotent */
/* Calls done() of everybody at the ready entries who can be answered. */
void        v2_names_settle(v2_names_t *names);

#endif
