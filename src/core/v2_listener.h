/* Listening sockets of one node, as the master holds them: several per address
 * (SO_REUSEPORT), shared out to the workers. They are bound when an image is
 * prepared and listen once it is committed, so that nobody connects to a
 * socket that no worker serves. */

#ifndef V2_LISTENER_H
#define V2_LISTENER_H

#include "v2_addr.h"

#define V2_LISTENER_SOCKS   64          /* of each kind */

typedef struct {
    int          fd;
    uint32_t     j;                     /* its name in messages */
    uint8_t      udp;
    void        *owner;                 /* the worker that serves it */
} v2_lsock_t;

typedef struct {
    v2_addr_t    addr;
    uint8_t      tcp, udp;
    uint8_t      listening;
    uint32_t     base;                  /* j of the first socket */
    unsigned     n;                     /* sockets in socks */
    v2_lsock_t   socks[2 * V2_LISTENER_SOCKS];
} v2_listener_t;

/* Binds n sockets of each wanted kind; base and the numbers above it (128 of
 * them) name them. ours: sockets of ours that overlap serve until these do, so
 * that nobody else can be there. NULL: one line in why that says who is in the
 * way. */
v2_listener_t  *v2_listener_open(const v2_addr_t *addr, int tcp, int udp,
    unsigned n, uint32_t base, int ours, char *why, size_t size);
/* More sockets when there are more workers; they listen if the others do.
 * V2_ERROR: logged, what was there stays. */
v2_int_t        v2_listener_grow(v2_listener_t *l, unsigned n);
/* V2_ERROR: one line in why. */
v2_int_t        v2_listener_listen(v2_listener_t *l, char *why, size_t size);
void            v2_listener_close(v2_listener_t *l);

int             v2_listener_same(const v2_listener_t *l,
    const v2_addr_t *addr, int tcp, int udp);
/* Would sockets of that address take packets of these? */
int             v2_listener_overlaps(const v2_listener_t *l,
    const v2_addr_t *addr, int tcp, int udp);

#endif
