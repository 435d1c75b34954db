/* Names to addresses: c-ares driven through ring polls (lookups=b), an own
 * hosts table, a cache by TTL, merged questions, a negative cache. One per
 * worker. The only file that knows c-ares is v2_resolve.c. */

#ifndef V2_RESOLVE_H
#define V2_RESOLVE_H

#include "v2_addr.h"
#include "v2_router.h"

#define V2_RESOLVE_ADDRS    8

typedef struct v2_resolve_req_s  v2_resolve_req_t;

/* Embedded by the asker. done: n addresses in q->addrs (IPv6 and IPv4 mixed in
 * the order to try, ports unset); n 0: q->why says why (static text). */
struct v2_resolve_req_s {
    void        (*done)(v2_resolve_req_t *q);
    void         *owner;
    v2_addr_t     addrs[V2_RESOLVE_ADDRS];
    uint32_t      n;
    const char   *why;
    void         *wait[3];          /* the resolver's: list links, entry */
};

/* servers NULL: from resolv.conf (path NULL: /etc/resolv.conf); hosts NULL:
 * /etc/hosts. Both are read at create, before rights are dropped, and hosts
 * and resolv.conf again when their mtime changed (looked at once in 10 s,
 * when still readable). NULL: logged. */
v2_resolve_t  *v2_resolve_create(v2_ring_t *ring, const char *servers,
    const char *resolv, const char *hosts);
void           v2_resolve_destroy(v2_resolve_t *rs);

/* V2_OK: answered from memory, q->addrs is filled and done is not called;
 * V2_AGAIN: done comes later; V2_ERROR: n is 0 and why is set, done is not
 * called. family limits the kind of address. */
v2_int_t       v2_resolve_ask(v2_resolve_t *rs, v2_resolve_req_t *q,
    const char *name, v2_family_e family);
/* The asker goes away: done will not be called. Idempotent. */
void           v2_resolve_cancel(v2_resolve_t *rs, v2_resolve_req_t *q);

#endif
