/* Connecting to one of several addresses (RFC 8305, Happy Eyeballs): one
 * attempt every 250 ms or as soon as one failed, at most two at a time; the
 * first that connects wins.
 *
 * Invariant: the memory of a dial lives until v2_dial_idle(); after the
 * result, or a cancel, losing attempts still close. */

#ifndef V2_DIAL_H
#define V2_DIAL_H

#include "v2_addr.h"
#include "v2_resolve.h"
#include "v2_ring.h"
#include "v2_timer.h"

#define V2_DIAL_MS          10000
#define V2_DIAL_NEXT_MS     250

typedef struct v2_dial_s  v2_dial_t;

typedef struct {
    v2_op_t                   op;           /* connect, then perhaps close */
    int                       fd;           /* -1: free */
    v2_addr_t                 addr;
    socklen_t                 sa_len;
    struct sockaddr_storage   sa;
} v2_attempt_t;

struct v2_dial_s {
    v2_ring_t      *ring;
    /* fd >= 0: connected to *addr, the fd is the receiver's; fd -1: err of the
     * last attempt. Called once, unless cancelled. */
    void          (*done)(v2_dial_t *d, int fd, const v2_addr_t *addr,
                      int err);
    /* the memory may go; not called when v2_dial_cancel returned 1 */
    void          (*idle)(v2_dial_t *d);
    void           *owner;
    v2_addr_t       from;                   /* family 0: any */
    v2_addr_t       addrs[V2_RESOLVE_ADDRS];
    uint32_t        n, next;
    uint64_t        deadline_ms;
    int             err;
    unsigned        over:1;
    v2_timer_t      timer;
    v2_attempt_t    attempts[2];
};

/* addrs (with ports), n, from, done, idle, owner, ring are set. May call done
 * before it returns only through the loop, never directly. */
void  v2_dial_start(v2_dial_t *d);
/* 1: nothing is pending, idle will not be called. */
int   v2_dial_cancel(v2_dial_t *d);

/* A socket for talking to `to`: family of the address, non-blocking, bound to
 * `from` when it is set and of that family (IP_BIND_ADDRESS_NO_PORT). -1 with
 * errno. */
int   v2_dial_socket(const v2_addr_t *to, int type, const v2_addr_t *from);
/* A UDP socket; both: for IPv4 and IPv6 destinations alike, where the host has
 * IPv6 and no `from` is asked for. -1 with errno. */
int   v2_dial_datagram(const v2_addr_t *to, const v2_addr_t *from, int both);

#endif
